import assert from "node:assert/strict";
import { LockNotAvailableError } from "../../provider/src/errors";
import { connect, watchSession } from "../../provider/src/postgres/connection/connect";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { CuttableProxy } from "./cuttable-proxy";
import { type RandomChanges, randomTables } from "./random-changes";
import { type Scene } from "./scene";
import { Stage } from "./apply/stage";
import { TestClock } from "../support/test-clock";
import { until } from "../support/until";

const isFollowersSession = "application_name LIKE 'pg-migration %'";

/** Much longer than connecting takes on any machine. {@link exceedLimit} changes the clock, so that no test waits for it. */
const limits = { reconnectForSeconds: 600, silenceLimitSeconds: 3600 };
const clock = new TestClock();

/** Moves the clock forward by more than a server may be unreachable. */
const exceedLimit = (): void => clock.skip(2 * 1000 * limits.reconnectForSeconds);

describe("a follower during temporary failures", () => {
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
    server.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${isFollowersSession}`);
  const role = (): string => servers.administrator.user;

  /** Events for which a failure waits before it ends. */
  interface Seen {
    /** The follower has lost its connection for the expected reason. */
    loss(): Promise<void>;
    /** The follower has applied changes after this call. */
    progress(): Promise<void>;
  }
  const failures: readonly (readonly [title: string, fail: (seen: Seen) => Promise<void>, expected: RegExp])[] = [
    [
      "a temporary change of its password",
      async (seen) => {
        await servers.target.query(`ALTER ROLE ${role()} PASSWORD 'another'`);
        await endSessions(servers.target);
        await seen.loss();
        await servers.target.query(`ALTER ROLE ${role()} PASSWORD '${servers.administrator.password}'`);
      },
      /password/,
    ],
    [
      "a target without free connections",
      async (seen) => {
        await servers.target.query(`ALTER ROLE ${role()} CONNECTION LIMIT 0`);
        await endSessions(servers.target);
        await seen.loss();
        await servers.target.query(`ALTER ROLE ${role()} CONNECTION LIMIT -1`);
      },
      /no connection left/,
    ],
    [
      "settings of its role that make it read-only and limit its statements",
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
      "the termination of its sessions on both servers",
      async (seen) => {
        for (let time = 0; time < 6; time++) {
          await endSessions(time % 2 === 0 ? servers.source : servers.target);
          await seen.progress();
        }
      },
      /terminat/,
    ],
  ];

  for (const [title, fail, expected] of failures)
    it(`resumes after ${title}`, async () => {
      const lost: string[] = [];
      const follower = scene.follow({
        onEvent: (event) => {
          if (event.kind === "connectionLost") lost.push(event.reason);
        },
      });
      await until("the first changes are applied", () => follower.status().appliedChanges > 0);
      const progress = async (): Promise<void> => {
        const { appliedChanges } = follower.status();
        await until("more changes are applied", () => follower.status().appliedChanges > appliedChanges);
      };
      const loss = (): Promise<void> =>
        until("the loss is reported", () => lost.some((reason) => expected.test(reason)));
      await Promise.race([fail({ loss, progress }), follower.finished]);
      await changes.stop();
      await scene.mustBecomeEqual(follower);
      assert.match(lost.join("\n"), expected);
    });

  it("names the session whose lock a batch needs, and a hold fails instead of waiting for it", async () => {
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
    await until("the holder of the lock is reported", () => blocked[0]?.includes(`pid ${pid} `) === true);
    await assert.rejects(
      follower.hold(),
      (error: Error) => error instanceof LockNotAvailableError && error.message.includes(`pid ${pid} `),
    );
    await obstacle.query("ROLLBACK");
    await obstacle.end();
    follower.resume();
    await scene.mustBecomeEqual(follower);
  });

  it("counts the checks of a session that waits for a lock separately for each wait", async () => {
    await changes.stop();
    const { database } = scene;
    const open = () => servers.target.connect(database, servers.administrator);
    const [first, second] = await Promise.all([open(), open()]);
    const session = await connect(scene.target, { database, purpose: "wait" });
    await first.query("SELECT pg_advisory_lock(1)");
    await second.query("SELECT pg_advisory_lock(2)");
    const checks: number[] = [];
    const watch = watchSession(scene.target, database, session, {
      patienceMs: 50,
      onBlocked: (_by, check) => checks.push(check),
    });
    const twoWaits = async (): Promise<void> => {
      await session.query("SELECT pg_advisory_lock(1)");
      await session.query("SELECT pg_advisory_lock(2)");
    };
    const work = watch.during(twoWaits());
    await until("two checks of the first wait", () => checks.includes(2));
    const before = checks.length;
    await first.end();
    // One more check of the first wait may have been under way.
    await until("checks of the second wait", () => checks.length >= before + 3);
    assert(checks.slice(before).includes(1), checks.join());
    await second.end();
    await work;
    await session.end();
  });

  it("does not count two losses of an idle stream as one long loss", async () => {
    await changes.stop();
    const proxy = await CuttableProxy.to(scene.source);
    let streaming = 0;
    const follower = scene.follow({
      source: proxy.endpoint,
      ...limits,
      onEvent: ({ kind }) => {
        if (kind === "streaming") streaming++;
      },
    });
    const streams = (times: number): Promise<void> =>
      Promise.race([until(`stream ${times}`, () => streaming >= times), follower.finished]);
    try {
      await streams(1);
      await scene.mustBecomeEqual(follower);
      // Keeps the applied position unchanged, as on a server without writes.
      await follower.hold();
      proxy.cut();
      await streams(2);
      exceedLimit();
      proxy.cut();
      await streams(3);
    } finally {
      await follower.stop();
      await proxy.close();
    }
  });

  it("applies a transaction that takes longer than the limit for retries, with losses in each attempt", async () => {
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
      ...limits,
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
      // After the first batch of the transaction; below, after the second.
      proxy.breakAfter(180_000);
      await scene.onSource("INSERT INTO large SELECT generate_series(1, 60000)");
      await happens("the first loss", () => losses > 0);
      await happens("a slot that can be streamed from again", isSlotFree);
      proxy.breakAfter(300_000);
      // The next connection succeeds. Its progress is later than the retry limit of the first loss.
      proxy.mend(exceedLimit);
      await happens("the third stream", () => streaming >= 3);
      await scene.mustBecomeEqual(follower);
    } finally {
      await follower.stop();
      await proxy.close();
    }
  });

  it("resumes after connections that break after a number of bytes", async () => {
    const proxies = { source: await CuttableProxy.to(scene.source), target: await CuttableProxy.to(scene.target) };
    let losses = 0;
    const follower = scene.follow({
      source: proxies.source.endpoint,
      target: proxies.target.endpoint,
      onEvent: ({ kind }) => {
        if (kind === "connectionLost") losses++;
      },
    });
    for (const bytes of [900, 5000, 20_000, 100_000, 1234, 40_000]) {
      const before = losses;
      proxies.source.breakAfter(bytes * 2);
      proxies.target.breakAfter(bytes);
      await until(`a connection breaks after ${bytes} bytes`, () => losses > before);
    }
    for (const proxy of [proxies.source, proxies.target]) proxy.breakAfter(Infinity);
    await changes.stop();
    await scene.mustBecomeEqual(follower);
    await follower.stop();
    for (const proxy of [proxies.source, proxies.target]) await proxy.close();
  });
});

describe("a target with a small lock table", () => {
  const servers = new Stage({
    from: 16,
    to: 17,
    targetParameters: { max_locks_per_transaction: 10, max_connections: 20 },
  });
  const tables = 1200;

  it("is reported at once with the required setting, and the stream resumes after the change", async () => {
    const each = (statement: string): string =>
      `DO $$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format('${statement}', i); COMMIT; END LOOP; END $$`;
    const scene = await servers.open(each("CREATE TABLE t%s (id int PRIMARY KEY)"));
    const remedies: string[] = [];
    let streams = 0;
    const follower = scene.follow({
      onEvent: (event) => {
        if (event.kind === "streaming") streams++;
        if (event.kind === "lockTableFull") remedies.push(event.remedy);
      },
    });
    await scene.onSource(each("INSERT INTO t%s VALUES (1)").replace(" COMMIT;", ""));
    await until("the setting is reported, and more attempts", () => remedies.length > 0 && streams > 2);
    assert.equal(remedies.length, 1);
    const [, present, wanted] = /max_locks_per_transaction on the target .* from (\d+) to (\d+) or more/.exec(
      remedies[0]!,
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
