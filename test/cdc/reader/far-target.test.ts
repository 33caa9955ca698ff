import assert from "node:assert/strict";
import { CuttableProxy } from "../cuttable-proxy";
import { type Scene } from "../scene";
import { Stage } from "../apply/stage";
import { until } from "../../support/until";

describe("a target with a long round trip time", () => {
  const servers = new Stage({ from: 14, to: 17 });
  let scene: Scene;
  let proxy: CuttableProxy;

  beforeEach(async () => {
    scene = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))");
    proxy = await CuttableProxy.to(scene.target);
  });
  afterEach(() => proxy.close());

  const requests = (): string[] => proxy.turns.map(({ request }) => request);

  it("needs few round trips before the stream begins, and for a table's first change", async () => {
    let atBegin = 0;
    const follower = scene.follow({
      target: proxy.endpoint,
      onEvent: ({ kind }) => {
        if (kind === "streaming") atBegin = proxy.turns.length;
      },
    });
    await until("the stream begins", () => atBegin > 0);
    // One for the start, two for the password, one for fixed settings, one for replica, one for settings. Then one for the
    // owner of the progress, three for progress, one for the apply sessions, one for the changes of each table.
    assert.equal(atBegin, 12, requests().join("\n"));
    await scene.onSource("INSERT INTO t VALUES (1, 'one')");
    await until("the row is applied", async () => (await scene.onTarget("TABLE t")).length === 1);
    const [emptyPath, tables, path, change, commit] = requests().slice(atBegin);
    assert.match(emptyPath!, /search_path/);
    assert.match(tables!, /pg_class/);
    assert.match(path!, /search_path/);
    assert.match(change!, /BEGIN.*COPY/s);
    assert.match(commit!, /COMMIT/);
    await scene.mustBecomeEqual(follower);
  });

  it("gets the COMMIT of a batch together with the changes that arrived meanwhile", async () => {
    const follower = scene.follow({ target: proxy.endpoint });
    await scene.onSource("INSERT INTO t VALUES (1, 'one')");
    await scene.mustBecomeEqual(follower);
    const obstacle = await servers.target.connect(scene.database, servers.administrator);
    await obstacle.query("BEGIN; LOCK TABLE t");
    await scene.onSource("INSERT INTO t VALUES (2, 'two')");
    await until("a batch waits for the lock", () => /BEGIN.*two/s.test(requests().at(-1)!));
    await scene.onSource("INSERT INTO t VALUES (3, 'three')");
    await until("the next change is received", () => follower.status().incomingChanges === 3);
    const before = proxy.turns.length;
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    await scene.mustBecomeEqual(follower);
    const since = requests().slice(before);
    assert(
      since.some((turn) => /COMMIT.*BEGIN.*three/s.test(turn)),
      since.join("\n"),
    );
  });

  it("stages the next batch of a backlog before the answer to the previous one arrives", async () => {
    const follower = scene.follow({ target: proxy.endpoint });
    await scene.onSource("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 30000) i");
    await scene.mustBecomeEqual(follower);
    const obstacle = await servers.target.connect(scene.database, servers.administrator);
    await obstacle.query("BEGIN; LOCK TABLE t IN SHARE MODE");
    // More than two batches.
    await scene.onSource("UPDATE t SET v = 'w'");
    await until("all changes are received", () => follower.status().incomingChanges === 60_000);
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    // Wait without a drain, which would close the barrier after the current batch.
    await until(
      "the changes are committed",
      async () => (await scene.onTarget("SELECT FROM t WHERE v = 'w'")).length > 0,
    );
    await scene.mustBecomeEqual(follower);
    assert(requests().some((request) => request.includes("RELEASE SAVEPOINT ahead")));
  });
});
