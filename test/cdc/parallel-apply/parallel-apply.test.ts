import assert from "node:assert/strict";
import type { Follower } from "../../../provider/src/cdc/follower";
import type { FollowEvent, FollowOptions } from "../../../provider/src/cdc/follow-options";
import { TakenOverError } from "../../../provider/src/errors";
import { formatLsn } from "../../../provider/src/postgres/lsn";
import { until } from "../../support/until";
import { Stage } from "../apply/stage";
import { followParallel } from "./killed-sessions";
import { type Scene, inSessions } from "../scene";

const tables = `
  CREATE TABLE k (id int PRIMARY KEY, v int);
  CREATE TABLE log (v int);
  INSERT INTO k SELECT i, i FROM generate_series(1, 100) i`;

describe("several apply sessions", () => {
  const servers = new Stage({ from: 14, to: 18, parameters: { wal_sender_timeout: "5s" } });

  /** A held follower whose sessions know the tables. */
  async function heldFollower(s: Scene, changes: Partial<FollowOptions> = {}): Promise<Follower> {
    const follower = s.follow({ ...inSessions(4), ...changes });
    await s.onSource("UPDATE k SET v = v; INSERT INTO log VALUES (0)");
    await until("the sessions are open", () => follower.status().applySessions > 1);
    await s.onSource("UPDATE k SET v = v; INSERT INTO log VALUES (0)");
    await s.mustBecomeEqual(follower);
    await follower.hold();
    return follower;
  }

  const positions = (s: Scene): Promise<Record<string, unknown>[]> =>
    s.onTarget("SELECT DISTINCT applied_through_lsn::text AS lsn FROM pgmigration.apply_session");

  /** The counted inserts into `log`, and its rows. */
  const logged = async (s: Scene): Promise<unknown> =>
    (
      await s.onTarget(
        `SELECT inserts::int, (SELECT count(*)::int FROM log) AS rows FROM pgmigration.table_progress WHERE table_name = 'log'`,
      )
    )[0];

  it("divide the changes of a table by key, and count each change once", async () => {
    const s = await servers.open(tables);
    const follower = await heldFollower(s);
    const before = follower.status().parallelBatches;
    for (let i = 1; i <= 10; i++) await s.onSource("UPDATE k SET v = v + 1; INSERT INTO log VALUES (1)");
    for (let i = 1; i <= 10; i++) await s.onSource(`UPDATE k SET id = id + 1000 WHERE id = ${i}`);
    await s.mustBecomeEqual(follower);
    const status = follower.status();
    assert.equal(status.parallelBatches > before, true);
    assert.equal((await positions(s)).length, 1, "all sessions had changes");
    assert.deepEqual([status.inserts, status.updates, status.deletes], [12, 1210, 0]);
    assert.deepEqual(await logged(s), { inserts: 12, rows: 12 });
  });

  it("share a backlog of large rows, whose batches end by their size", async () => {
    const s = await servers.open("CREATE TABLE wide (id int PRIMARY KEY, v text)");
    await s.onTarget("ALTER TABLE wide ADD applied_by int DEFAULT pg_backend_pid()");
    const follower = s.follow({ applySessions: () => 4, parallelFromChanges: undefined });
    let rows = 0;
    const insert = (): Promise<unknown> =>
      s.onSource(`INSERT INTO wide SELECT i, repeat('x', 10000) FROM generate_series(${rows + 1}, ${(rows += 100)}) i`);
    await follower.hold();
    for (let i = 0; i < 10; i++) await insert();
    follower.resume();
    await until("the sessions are open", async () => {
      await insert();
      return follower.status().applySessions === 4;
    });
    await follower.hold();
    const before = rows;
    for (let i = 0; i < 40; i++) await insert();
    await follower.drainTo(await s.sourceLsn());
    const applied = await s.onTarget(
      `SELECT count(*)::int AS rows FROM wide WHERE id > ${before} GROUP BY applied_by ORDER BY 1 DESC`,
    );
    assert.equal(applied.length >= 4, true, "all sessions applied rows");
    assert.equal((applied[0]!.rows as number) < 2000, true, `rows by session: ${JSON.stringify(applied)}`);
    await s.onTarget("ALTER TABLE wide DROP applied_by");
    await s.mustBecomeEqual(follower);
  });

  it("leave the state of one LSN when the stream stops there", async () => {
    const s = await servers.open(tables);
    const follower = await heldFollower(s);
    await s.onSource("UPDATE k SET v = v + 1");
    const lsn = await s.sourceLsn();
    await s.onSource("UPDATE k SET v = v + 10");
    await follower.drainTo(lsn);
    assert.deepEqual(await s.onTarget("SELECT DISTINCT v - id AS added FROM k"), [{ added: 1 }]);
    await s.mustBecomeEqual(follower);
  });

  for (const [how, successor] of [
    ["one session", { applySessions: () => 1 }],
    ["another number of sessions", inSessions(3)],
    ["values in text form", { ...inSessions(4), valueForm: "text" }],
  ] as const)
    it(`leave a batch that a successor completes with ${how}`, async () => {
      const s = await servers.open(tables);
      const follower = await heldFollower(s);
      const lock = await servers.target.connect(s.database, servers.administrator);
      await lock.query("BEGIN; SELECT FROM k WHERE id = 7 FOR UPDATE");
      await s.onSource("UPDATE k SET v = v + 1; INSERT INTO log VALUES (1)");
      const lsn = formatLsn(await s.sourceLsn());
      follower.resume();
      const applied = `SELECT FROM pgmigration.apply_session WHERE applied_through_lsn > (SELECT applied_through_lsn FROM pgmigration.progress)`;
      await until("three sessions have committed", async () => (await s.onTarget(applied)).length === 3);
      await follower.stop();
      await lock.end();
      assert.equal((await s.onTarget(applied)).length, 3);
      await s.onSource(
        "UPDATE k SET v = v + 10; UPDATE k SET id = id + 1000 WHERE id < 20; INSERT INTO log VALUES (2)",
      );
      const next = s.follow({ generation: 2, ...successor });
      await s.mustBecomeEqual(next);
      assert.deepEqual(await logged(s), { inserts: 4, rows: 4 });
      const { inserts, updates } = next.status();
      assert.deepEqual([inserts, updates], [4, 419], `counts after ${lsn}`);
    });

  it("leave a batch to one session if a constraint that was added meanwhile requires the source's order", async () => {
    const s = await servers.open(tables);
    const events: FollowEvent[] = [];
    const follower = await heldFollower(s, { onEvent: (event) => events.push(event) });
    const unique = "CREATE UNIQUE INDEX ON k (v)";
    await s.onSource(unique);
    await s.onTarget(unique);
    // Each row takes the value that the row before had.
    await s.onSource(`DO $$ BEGIN
      UPDATE k SET v = -1 WHERE id = 100;
      FOR i IN REVERSE 99..1 LOOP UPDATE k SET v = i + 1 WHERE id = i; END LOOP;
      UPDATE k SET v = 1 WHERE id = 100;
    END $$`);
    await s.mustBecomeEqual(follower);
    assert.ok(events.some(({ kind }) => kind === "parallelRefused"));
    const divisionOfTable = `SELECT one -> 1 ->> 'by' AS by
       FROM pgmigration.apply_division, json_array_elements(tables) AS one WHERE one ->> 0 = '"public"."k"'`;
    await until("one session has all changes of the table", async () => {
      await s.onSource("UPDATE k SET v = v + 1000");
      return (await s.onTarget(divisionOfTable))[0]?.by === "table";
    });
    await s.mustBecomeEqual(follower);
  });

  it("leave a batch to one session after a deadlock, without reporting a lost connection", async () => {
    const s = await servers.open(tables);
    const events: FollowEvent[] = [];
    const follower = await heldFollower(s, { onEvent: (event) => events.push(event) });
    const application = await servers.target.connect(s.database);
    // The server then ends the apply session's wait, not this one.
    await application.query("SET deadlock_timeout = '1h'; BEGIN; SELECT FROM k WHERE id = 100 FOR UPDATE");
    await s.onSource("UPDATE k SET v = v + 1");
    follower.resume();
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    await until("an apply session waits for the row", async () => (await s.onTarget(waiting)).length > 0);
    await application.query("SELECT FROM k FOR UPDATE");
    await application.end();
    await s.mustBecomeEqual(follower);
    assert.deepEqual(
      events.map(({ kind }) => kind).filter((kind) => kind === "parallelRefused" || kind === "connectionLost"),
      ["parallelRefused"],
    );
  });

  it("change their number while the follower runs", async () => {
    const s = await servers.open(tables);
    let wanted = 4;
    const follower = await heldFollower(s, { applySessions: () => wanted });
    follower.resume();
    for (wanted of [2, 1, 3]) {
      await until(`${wanted} sessions are open`, async () => {
        await s.onSource("UPDATE k SET v = v + 1");
        return follower.status().applySessions === wanted;
      });
      await s.mustBecomeEqual(follower);
    }
  });

  it("end when a follower of a later generation takes over, and commit nothing after that", async () => {
    const s = await servers.open(tables);
    const first = await heldFollower(s);
    const lock = await servers.target.connect(s.database, servers.administrator);
    await lock.query("BEGIN; SELECT FROM k WHERE id = 7 FOR UPDATE");
    await s.onSource("UPDATE k SET v = v + 1; INSERT INTO log VALUES (1)");
    first.resume();
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until("a session waits for the lock", async () => (await s.onTarget(waiting)).length === 1);
    const second = s.follow({ ...inSessions(4), generation: 2 });
    const taken = `SELECT FROM pgmigration.progress WHERE generation = 2`;
    await until("the progress is taken over", async () => (await s.onTarget(taken)).length === 1);
    await until("both wait", async () => (await s.onTarget(waiting)).length === 2);
    await lock.end();
    await assert.rejects(first.finished, TakenOverError);
    await s.mustBecomeEqual(second);
    assert.deepEqual(await logged(s), { inserts: 3, rows: 3 });
  });

  it("end when the backlog is applied", async function () {
    this.timeout(60_000);
    const s = await servers.open(tables);
    const follower = await heldFollower(s);
    follower.resume();
    await until("one session is left", () => follower.status().applySessions === 1);
    const open = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%apply changes%'`;
    assert.equal((await s.onTarget(open)).length, 1);
  });

  followParallel(servers, 8);
});
