import assert from "node:assert/strict";
import { once } from "node:events";
import { Snapshot, SnapshotGone, lockedSnapshot, openInSnapshot } from "../../provider/src/copy/snapshot";
import { columnsReplacedSince } from "../../provider/src/copy/tables-altered-since";
import { tableLockTimeout } from "../../provider/src/copy/table-lock-timeout";
import { RefusedError, UnreachableError } from "../../provider/src/errors";
import { connect } from "../../provider/src/postgres/connection/connect";
import { type BlockedSession, blockedSessions } from "../../provider/src/postgres/locks/blocked-sessions";
import { isLockTimeout } from "../../provider/src/postgres/locks/lock-waits";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { until } from "../support/until";
import { endpointOf, freshDatabase } from "./pairs";

describe("a snapshot", () => {
  let server: EmbeddedServer;
  let database: string;
  before(async () => {
    server = await EmbeddedServer.start({
      major: 14,
      // Settings that end idle sessions.
      parameters: { idle_in_transaction_session_timeout: "3s", idle_session_timeout: "3s", wal_level: "logical" },
    });
    database = await freshDatabase(server, "CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
  });
  after(() => server.stop());

  const count = async (snapshot: Snapshot): Promise<number> => {
    const session = await openInSnapshot(endpointOf(server), database, snapshot.id, "test");
    try {
      return (await session.query("SELECT FROM public.t")).rowCount ?? -1;
    } finally {
      await session.end();
    }
  };
  const t = { schema: "public", name: "t" };
  const insert = () => server.query("INSERT INTO t VALUES (2)", { database });

  it("shows every session the same data until it is released", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const before = await count(snapshot);
    await insert();
    const idle = await server.connect(database);
    const errors: Error[] = [];
    idle.on("error", (error) => errors.push(error));
    await idle.query("BEGIN");
    await until("the server has ended an idle session that is younger than the snapshot", () => errors.length > 0);
    assert.match(errors[0]!.message, /idle-in-transaction timeout/);
    assert.equal(await count(snapshot), before);
    await snapshot.release();
    assert.equal(snapshot.lost.aborted, false);
    await assert.rejects(count(snapshot), (error: Error) => {
      assert.ok(error instanceof SnapshotGone, String(error));
      assert.match(error.message, /the connection that held the snapshot .* is lost/);
      return true;
    });
  });

  it("survives the session that first exported it, after it was imported", async () => {
    const slot = await server.connect(database, { replication: "database" } as object);
    await slot.query("SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0");
    const made = await slot.query<{ snapshot_name: string }>(
      "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding EXPORT_SNAPSHOT",
    );
    const held = await Snapshot.hold(endpointOf(server), database, made.rows[0]!.snapshot_name);
    const before = await count(held);
    await slot.end();
    await insert();
    assert.equal(await count(held), before);
    await held.release();
  });

  it("is read-only", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const session = await openInSnapshot(endpointOf(server), database, snapshot.id, "test");
    await assert.rejects(session.query("INSERT INTO public.t VALUES (3)"), /read-only/);
    await session.end();
    await snapshot.release();
  });

  it("reports that its session has ended", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const lost = once(snapshot.lost, "abort");
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%snapshot'",
    );
    await lost;
    assert.ok(snapshot.lost.reason instanceof UnreachableError);
    await snapshot.release();
  });

  it("blocks TRUNCATE and rewrites of its locked tables, but no writes", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    await snapshot.lockTables([t]);
    await insert();
    for (const statement of ["TRUNCATE t", "ALTER TABLE t ALTER id TYPE int8", "VACUUM FULL t"])
      await assert.rejects(
        server.query(statement, { database, login: { options: "-c lock_timeout=100" } as object }),
        /lock timeout/,
      );
    await snapshot.release();
    await server.query("TRUNCATE t", { database });
  });

  it("does not wait for a table while it holds a lock on another", async () => {
    await server.query('CREATE TABLE a (id int); CREATE TABLE "B" (id int)', { database });
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const application = await server.connect(database);
    try {
      await application.query('BEGIN; LOCK TABLE "B" IN ACCESS EXCLUSIVE MODE');
      let onWaiting: (holders: string) => void = () => undefined;
      const reported = new Promise<string>((resolve) => (onWaiting = resolve));
      const tables = ["a", "B"].map((name) => ({ schema: "public", name }));
      const locked = snapshot.lockTables(tables, { onWaiting: (holders) => onWaiting(holders) });
      assert.match(
        await reported,
        /^public\."B" is locked by pid \d+ \(postgres, test, idle in transaction, open for \d+ s\)$/,
      );
      await application.query("ALTER TABLE a ADD COLUMN v text; COMMIT");
      assert.deepEqual(await locked, []);
    } finally {
      await application.end();
      await snapshot.release();
      await server.query('DROP TABLE a, "B"', { database });
    }
  });

  it("stops waiting for a session that waits to alter a table, and names that session", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    await snapshot.lockTables([t]);
    const session = await openInSnapshot(endpointOf(server), database, snapshot.id, "test");
    const application = await server.connect(database);
    try {
      assert.deepEqual((await session.query("SHOW lock_timeout")).rows, [{ lock_timeout: "1min" }]);
      const altered = application.query("BEGIN; LOCK TABLE t; COMMIT");
      await until("the application waits", async () => {
        const waiting = await server.query("SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'");
        return waiting.length > 0;
      });
      await session.query("SET lock_timeout = 100");
      const cause = await session.query("TABLE public.t").catch((error: unknown) => error);
      assert.ok(isLockTimeout(cause), String(cause));
      const timeout = await tableLockTimeout(endpointOf(server), database, t, cause);
      assert.match(
        timeout.message,
        /cannot be read: public\.t is about to be locked by pid \d+ \(postgres, test, active/,
      );
      assert.match(timeout.remedy ?? "", /SELECT pg_terminate_backend\(\d+\); then start again/);
      await snapshot.release();
      await altered;
    } finally {
      await session.end();
      await application.end();
      await snapshot.release();
    }
  });

  it("reports the sessions that it blocks: those waiting for a table, and those waiting for older transactions", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    await snapshot.lockTables([t]);
    const observer = await connect(endpointOf(server), { database, purpose: "test" });
    const [deploy, reader, indexer] = await Promise.all([1, 2, 3].map(() => server.connect(database)));
    const untilHeldUp = async (count: number): Promise<BlockedSession[]> => {
      let found: BlockedSession[] = [];
      await until("it is blocked", async () => (found = await blockedSessions(observer)).length === count, 20);
      return found;
    };
    try {
      assert.deepEqual(await blockedSessions(observer), []);
      await server.query("CREATE TABLE indexed (id int)", { database });
      const indexed = indexer!.query("CREATE INDEX CONCURRENTLY ON indexed (id)");
      const [waiting] = await untilHeldUp(1);
      assert.deepEqual([waiting!.table, waiting!.behind], [undefined, 0]);
      const altered = deploy!.query("TRUNCATE t");
      await untilHeldUp(2);
      const read = reader!.query("TABLE t");
      await until("others queue after it", async () =>
        (await blockedSessions(observer)).some(({ behind }) => behind > 0),
      );
      const { pid, waitingSince, statementSince, ...who } = (await untilHeldUp(2)).find(({ table }) => table)!;
      assert.deepEqual(who, { user: "postgres", applicationName: "test", table: "public.t", behind: 1 });
      assert.ok(pid > 0 && waitingSince! >= statementSince!);
      await snapshot.release();
      await Promise.all([indexed, altered, read]);
    } finally {
      await snapshot.release();
      await Promise.all([observer, deploy!, reader!, indexer!].map((session) => session.end()));
      await server.query("INSERT INTO t VALUES (1); DROP TABLE IF EXISTS indexed", { database });
    }
  });

  it("names the session that keeps a table locked, and how to terminate it", async () => {
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const application = await server.connect(database);
    try {
      await application.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      const reports: string[] = [];
      const onWaiting = (holders: string): unknown => reports.push(holders);
      await assert.rejects(snapshot.lockTables([t], { seconds: 2, onWaiting }), (error: Error) => {
        assert.ok(error instanceof RefusedError);
        assert.match(
          error.message,
          /could not be locked .* for 2 s: public\.t is locked by pid \d+ \(postgres, test, idle/,
        );
        assert.match(error.remedy ?? "", /on the source: SELECT pg_terminate_backend\(\d+\); then start again/);
        return true;
      });
      // It is not reported again when only the transaction's age changes.
      assert.equal(reports.length, 1);
      await application.query("ROLLBACK");
      assert.deepEqual(await snapshot.lockTables([t]), []);
    } finally {
      await application.end();
      await snapshot.release();
    }
  });

  it("names the server setting that limits its number of locks", async () => {
    // The session's own lock slots suffice for a few tables.
    const tables = Array.from({ length: 40 }, (_, index) => ({ schema: "public", name: `room${index}` }));
    await server.query(tables.map(({ name }) => `CREATE TABLE ${name} ()`).join("; "), { database });
    const snapshot = await Snapshot.export(endpointOf(server), database);
    const greedy = await server.connect(database);
    try {
      await assert.rejects(greedy.query("SELECT pg_advisory_lock(i) FROM generate_series(1, 1000000) i"), {
        code: "53200",
      });
      await assert.rejects(snapshot.lockTables(tables), (error: Error) => {
        assert.ok(error instanceof RefusedError);
        assert.match(error.message, /out of shared memory/);
        assert.match(
          error.remedy ?? "",
          /^raise max_locks_per_transaction on the source 127\.0\.0\.1:\d+ from 64 to 128 .*ALTER SYSTEM SET max_locks_per_transaction = 128/,
        );
        return true;
      });
    } finally {
      await greedy.end();
      await snapshot.release();
    }
  });

  for (const [what, sql] of [
    ["renamed", "ALTER TABLE s RENAME v TO w"],
    ["dropped", "ALTER TABLE s DROP v"],
    ["replaced", "ALTER TABLE s RENAME v TO w; ALTER TABLE s ADD v text"],
  ] as const)
    it(`sees that a column was ${what}`, async () => {
      const s = { schema: "public", name: "s" };
      await server.query("CREATE TABLE s (id int, v text)", { database });
      const snapshot = await Snapshot.export(endpointOf(server), database);
      const session = await openInSnapshot(endpointOf(server), database, snapshot.id, "test");
      try {
        await server.query("ALTER TABLE s ADD n int", { database });
        assert.equal(await columnsReplacedSince(session, [t, s]), false);
        await server.query(sql, { database });
        await session.query("LOCK TABLE public.s IN ACCESS SHARE MODE");
        assert.equal(await columnsReplacedSince(session, [t, s]), true);
      } finally {
        await session.end();
        await snapshot.release();
        await server.query("DROP TABLE s", { database });
      }
    });

  for (const [what, sql] of [
    ["truncated", "INSERT INTO s VALUES (1); TRUNCATE s"],
    ["rewritten", "ALTER TABLE s ALTER id TYPE int8"],
    ["replaced", "DROP TABLE s; CREATE TABLE s (id int)"],
    ["dropped", "DROP TABLE s"],
  ] as const)
    it(`is taken again if a table was ${what} before it was locked`, async () => {
      await server.query("CREATE TABLE s (id int); INSERT INTO s VALUES (1)", { database });
      let taken = 0;
      const { snapshot } = await lockedSnapshot(
        async () => {
          const snapshot = await Snapshot.export(endpointOf(server), database);
          if (taken++ === 0) await server.query(sql, { database });
          return { snapshot };
        },
        () => Promise.resolve(taken === 1 || what !== "dropped" ? [t, { schema: "public", name: "s" }] : [t]),
        () => Promise.resolve(),
      );
      assert.equal(taken, 2);
      await snapshot.release();
      await server.query("DROP TABLE IF EXISTS s", { database });
    });
});
