import assert from "node:assert/strict";
import { CuttableProxy } from "../cuttable-proxy";
import { type Scene, until } from "../scene";
import { Stage } from "../apply/stage";

describe("a target that is far away", () => {
  const servers = new Stage({ from: 14, to: 17 });
  let scene: Scene;
  let proxy: CuttableProxy;

  beforeEach(async () => {
    scene = await servers.open("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))");
    proxy = await CuttableProxy.to(scene.target);
  });
  afterEach(() => proxy.close());

  it("is asked few things before the stream begins, and of a table's first change", async () => {
    let atBegin = 0;
    const follower = scene.follow({
      target: proxy.endpoint,
      onEvent: ({ kind }) => {
        if (kind === "streaming") atBegin = proxy.turns.length;
      },
    });
    await until(() => atBegin > 0, "the stream's begin");
    // Start-up, two of the password, two of fixed settings, replica, settings, and three of progress.
    assert.equal(atBegin, 10, proxy.turns.join("\n"));
    await scene.onSource("INSERT INTO t VALUES (1, 'one')");
    await until(async () => (await scene.onTarget("TABLE t")).length === 1, "the row");
    const [tables, change, commit] = proxy.turns.slice(atBegin);
    assert.match(tables!, /pg_class/);
    assert.match(change!, /BEGIN.*COPY/s);
    assert.match(commit!, /COMMIT/);
    await scene.mustBecomeEqual(follower);
  });

  it("gets what has come while it was busy with the COMMIT of what it was busy with", async () => {
    const follower = scene.follow({ target: proxy.endpoint });
    await scene.onSource("INSERT INTO t VALUES (1, 'one')");
    await scene.mustBecomeEqual(follower);
    const obstacle = await servers.target.connect(scene.database, servers.administrator);
    await obstacle.query("BEGIN; LOCK TABLE t");
    await scene.onSource("INSERT INTO t VALUES (2, 'two')");
    await until(() => /BEGIN.*two/s.test(proxy.turns.at(-1)!), "a batch at the lock");
    await scene.onSource("INSERT INTO t VALUES (3, 'three')");
    await until(() => follower.status().incomingChanges === 3, "a change behind it");
    const before = proxy.turns.length;
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    await scene.mustBecomeEqual(follower);
    const since = proxy.turns.slice(before);
    assert(
      since.some((turn) => /COMMIT.*BEGIN.*three/s.test(turn)),
      since.join("\n"),
    );
  });

  it("stages a backlog's next batch while its answer to the one before is on its way", async () => {
    const follower = scene.follow({ target: proxy.endpoint });
    await scene.onSource("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 30000) i");
    await scene.mustBecomeEqual(follower);
    const obstacle = await servers.target.connect(scene.database, servers.administrator);
    await obstacle.query("BEGIN; LOCK TABLE t IN SHARE MODE");
    // More than two batches.
    await scene.onSource("UPDATE t SET v = 'w'");
    await until(() => follower.status().incomingChanges === 60_000, "all changes");
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    // A drain would close the gate behind the batch at work.
    await until(async () => (await scene.onTarget("SELECT FROM t WHERE v = 'w'")).length > 0, "their COMMIT");
    await scene.mustBecomeEqual(follower);
    assert(proxy.turns.some((turn) => turn.includes("RELEASE SAVEPOINT ahead")));
  });
});
