import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { LockNotAvailableError } from "../../provider/src/errors";
import { connect, watchSession } from "../../provider/src/postgres/connection/connect";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { CuttableProxy } from "./cuttable-proxy";
import { type RandomChanges, randomTables } from "./random-changes";
import { type Scene } from "./scene";
import { Stage } from "./apply/stage";
import { TestClock } from "../support/test-clock";
import { until } from "../support/until";

const ours = "application_name LIKE 'pg-migration %'";

/** Far longer than any machine takes to connect; it is used up by {@link outlastPatience}, not by waiting. */
const patience = { reconnectForSeconds: 600, silenceLimitSeconds: 3600 };
const clock = new TestClock();

/** More than a server may be away goes by, as the clock says. */
const outlastPatience = (): void => clock.skip(2 * 1000 * patience.reconnectForSeconds);

describe("a follower among troubles that pass", () => {
  let scene: Scene;
  let changes: RandomChanges;

  afterEach(() => {
    clock.stop();
  });
  const servers = new Stage({ from: 14, to: 17 });
  beforeEach(async () => {
    scene = await servers.open(randomTables);
    changes = await servers.write(scene, 2);
  });

  const endSessions = (server: EmbeddedServer): Promise<unknown> =>
    server.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`);
  const role = (): string => servers.administrator.user;

  /** What a trouble waits for before it ends. */
  interface Seen {
    /** The follower has lost its connection for the reason that is expected. */
    loss(): Promise<void>;
    /** It has applied changes that were not there when this was asked for. */
    progress(): Promise<void>;
  }
  const troubles: readonly (readonly [title: string, trouble: (seen: Seen) => Promise<void>, expected: RegExp])[] = [
    [
      "its password being another one for a while",
      async (seen) => {
        await servers.target.query(`ALTER ROLE ${role()} PASSWORD 'another'`);
        await endSessions(servers.target);
        await seen.loss();
        await servers.target.query(`ALTER ROLE ${role()} PASSWORD '${servers.administrator.password}'`);
      },
      /password/,
    ],
    [
      "a target that has no connection left",
      async (seen) => {
        await servers.target.query(`ALTER ROLE ${role()} CONNECTION LIMIT 0`);
        await endSessions(servers.target);
        await seen.loss();
        await servers.target.query(`ALTER ROLE ${role()} CONNECTION LIMIT -1`);
      },
      /no connection left/,
    ],
    [
      "a role that may not write and has little patience",
      async (seen) => {
        const settings = ["default_transaction_read_only = on", "statement_timeout = 1", "lock_timeout = 1"];
        for (const setting of settings) await servers.target.query(`ALTER ROLE ${role()} SET ${setting}`);
        await endSessions(servers.target);
        await seen.loss();
        await seen.progress();
        await servers.target.query(`ALTER ROLE ${role()} RESET ALL`);
      },
      /terminat/,
    ],
    [
      "its sessions being ended on both sides",
      async () => {
        for (let time = 0; time < 6; time++) {
          await endSessions(time % 2 === 0 ? servers.source : servers.target);
          await sleep(250);
        }
      },
      /terminat/,
    ],
  ];

  for (const [title, trouble, expected] of troubles)
    it(`goes on after ${title}`, async () => {
      const lost: string[] = [];
      const follower = scene.follow({
        onEvent: (event) => {
          if (event.kind === "connectionLost") lost.push(event.reason);
        },
      });
      await until("the first changes", () => follower.status().appliedChanges > 0);
      const progress = async (): Promise<void> => {
        const { appliedChanges } = follower.status();
        await until("more changes", () => follower.status().appliedChanges > appliedChanges);
      };
      const loss = (): Promise<void> => until("the loss", () => lost.some((reason) => expected.test(reason)));
      await Promise.race([trouble({ loss, progress }), follower.finished]);
      await changes.stop();
      await scene.mustBecomeEqual(follower);
      assert.match(lost.join("\n"), expected);
    });

  it("says which session holds the lock that a batch needs, and lets nobody wait for its rest for ever", async () => {
    await changes.stop();
    const blocked: string[] = [];
    const follower = scene.follow({
      silenceLimitSeconds: 3,
      onEvent: (event) => {
        if (event.kind === "blocked") blocked.push(event.by);
      },
    });
    await scene.mustBecomeEqual(follower);
    const obstacle = await servers.target.connect(scene.database, servers.administrator);
    const [{ pid }] = (await obstacle.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows as [
      { pid: number },
    ];
    await obstacle.query("BEGIN; LOCK TABLE account");
    await scene.onSource("INSERT INTO account VALUES (1000000)");
    await until("a word about who holds the lock", () => blocked[0]?.includes(`pid ${pid} `) === true);
    await assert.rejects(
      follower.hold(),
      (error: Error) => error instanceof LockNotAvailableError && error.message.includes(`pid ${pid} `),
    );
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    follower.resume();
    await scene.mustBecomeEqual(follower);
  });

  it("counts the looks at a session that waits for a lock anew when it has got on in between", async () => {
    await changes.stop();
    const { database } = scene;
    const open = () => servers.target.connect(database, servers.administrator);
    const [first, second] = await Promise.all([open(), open()]);
    const session = await connect(scene.target, { database, purpose: "wait" });
    await first.query("SELECT pg_advisory_lock(1)");
    await second.query("SELECT pg_advisory_lock(2)");
    const looks: number[] = [];
    const watch = watchSession(scene.target, database, session, {
      patienceMs: 50,
      onBlocked: (_by, look) => looks.push(look),
    });
    const gotOn = async (): Promise<void> => {
      await session.query("SELECT pg_advisory_lock(1)");
      await session.query("SELECT pg_advisory_lock(2)");
    };
    const work = watch.during(gotOn());
    await until("two looks in a row", () => looks.includes(2));
    const before = looks.length;
    await first.end();
    // One may have been under way as it got on.
    await until("looks at the second wait", () => looks.length >= before + 3);
    assert(looks.slice(before).includes(1), looks.join());
    await second.end();
    await work;
    await session.end();
  });

  it("takes no two losses of an idle stream for one long one", async () => {
    await changes.stop();
    const proxy = await CuttableProxy.to(scene.source);
    let streaming = 0;
    const follower = scene.follow({
      source: proxy.endpoint,
      ...patience,
      onEvent: ({ kind }) => {
        if (kind === "streaming") streaming++;
      },
    });
    const streams = (times: number): Promise<void> =>
      Promise.race([until(`stream ${times}`, () => streaming >= times), follower.finished]);
    try {
      await streams(1);
      await scene.mustBecomeEqual(follower);
      // So that its position stays, as that of a server on which nobody writes does.
      await follower.hold();
      proxy.cut();
      await streams(2);
      outlastPatience();
      proxy.cut();
      await streams(3);
    } finally {
      await follower.stop();
      await proxy.close();
    }
  });

  it("brings a transaction home that takes longer than a server may be away, and loses its connection at every other place", async () => {
    await changes.stop();
    const ddl = "CREATE TABLE large (id int PRIMARY KEY)";
    await servers.source.query(ddl, { database: scene.database });
    await scene.onTarget(ddl);
    const publication = `ALTER PUBLICATION "${scene.names.publication}" ADD TABLE large`;
    await servers.source.query(publication, { database: scene.database });
    const proxy = await CuttableProxy.to(scene.target);
    let streaming = 0;
    let losses = 0;
    const follower = scene.follow({
      target: proxy.endpoint,
      ...patience,
      onEvent: ({ kind }) => {
        if (kind === "streaming") streaming++;
        if (kind !== "connectionLost") return;
        if (losses++ === 0) proxy.refuse();
        else if (streaming === 2) proxy.breakAfter(Infinity);
      },
    });
    const happens = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
      Promise.race([until(what, condition), follower.finished]);
    const isSlotFree = async (): Promise<boolean> =>
      (await scene.onSource("SELECT FROM pg_replication_slots WHERE active")).length === 0;
    try {
      // Behind the first of the transaction's batches, then behind the second.
      proxy.breakAfter(180_000);
      await scene.onSource("INSERT INTO large SELECT generate_series(1, 60000)");
      await happens("the first loss", () => losses > 0);
      await happens("a slot that can be streamed from again", isSlotFree);
      proxy.breakAfter(300_000);
      // In the midst of a connection that will succeed: what it gets to is behind the end of the patience with the
      // first loss.
      proxy.mend(outlastPatience);
      await happens("the third stream", () => streaming >= 3);
      await scene.mustBecomeEqual(follower);
    } finally {
      await follower.stop();
      await proxy.close();
    }
  });

  it("goes on behind a line that breaks after ever so many bytes", async () => {
    const proxies = { source: await CuttableProxy.to(scene.source), target: await CuttableProxy.to(scene.target) };
    const follower = scene.follow({ source: proxies.source.endpoint, target: proxies.target.endpoint });
    for (const bytes of [900, 5000, 20_000, 100_000, 1234, 40_000]) {
      proxies.source.breakAfter(bytes * 2);
      proxies.target.breakAfter(bytes);
      await sleep(700);
    }
    for (const proxy of [proxies.source, proxies.target]) proxy.breakAfter(Infinity);
    await changes.stop();
    await scene.mustBecomeEqual(follower);
    await follower.stop();
    for (const proxy of [proxies.source, proxies.target]) await proxy.close();
  });
});

describe("a target that has few locks", () => {
  const servers = new Stage({
    from: 16,
    to: 17,
    targetParameters: { max_locks_per_transaction: 10, max_connections: 20 },
  });
  const tables = 1200;

  it("is said at once to need another setting, and goes on by itself when it has it", async () => {
    const each = (statement: string): string =>
      `DO $$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format('${statement}', i); COMMIT; END LOOP; END $$`;
    const scene = await servers.open(each("CREATE TABLE t%s (id int PRIMARY KEY)"));
    const told: string[] = [];
    let streams = 0;
    const follower = scene.follow({
      onEvent: (event) => {
        if (event.kind === "streaming") streams++;
        if (event.kind === "lockTableFull") told.push(event.remedy);
      },
    });
    await scene.onSource(each("INSERT INTO t%s VALUES (1)").replace(" COMMIT;", ""));
    await until("the setting being told, and other tries", () => told.length > 0 && streams > 2);
    assert.equal(told.length, 1);
    const [, present, wanted] = /max_locks_per_transaction on the target .* from (\d+) to (\d+) or more/.exec(
      told[0]!,
    )!;
    assert.equal(present, "10");
    await servers.target.query(`ALTER SYSTEM SET max_locks_per_transaction = ${wanted!}`);
    await servers.target.restart();
    await follower.drainTo(await scene.sourceLsn());
    assert.deepEqual(await scene.onTarget(`SELECT id FROM t1 UNION ALL SELECT id FROM t${tables}`), [
      { id: 1 },
      { id: 1 },
    ]);
  });
});
