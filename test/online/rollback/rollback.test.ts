import assert from "node:assert/strict";

import { assertSameContent } from "../../support/content";
import { InsistentWriters } from "../../support/insistent-writers";
import { assertFinding } from "../../support/findings";
import { Lab } from "../../support/lab";
import { reportOf } from "../../support/report";
import { Resource } from "../../support/resource";
import { startStartingServer } from "../../support/servers/starting-server";
import { until } from "../../support/until";
import { cutOverAndKeep, rollbackOf, settingsOnTarget } from "./rollback-scene";

describe("rollback replication", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const arrives = (database: string, sql: string): Promise<void> =>
    until(`the source shows ${sql}`, async () => (await lab.source.query(sql, { database })).length === 1);
  it("writes to the fenced source, and a return lowers that fence", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.target.query("INSERT INTO t VALUES (1)", lab.onTarget(database));
    await arrives(database, "SELECT FROM t");
    await assert.rejects(lab.source.query("INSERT INTO t VALUES (2)", { database }), /read-only/);
    await lab.target.query(
      `CREATE TABLE "Made" AS SELECT 1 AS id; CREATE TABLE made_empty (id int); SELECT lo_from_bytea(0, 'large')`,
      lab.onTarget(database),
    );
    // The role that compares owns the table, and would see no row.
    await lab.target.query("ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", lab.onTarget(database));
    const refused = await Resource.failure(resource.update({ rollback: "return" }));
    assert.match(
      refused,
      /comparing "public"\."t", the target: .*row-level security.*on the target: .*ALTER TABLE "public"\."t" NO FORCE ROW/s,
    );
    await lab.target.query("ALTER TABLE t NO FORCE ROW LEVEL SECURITY", lab.onTarget(database));
    const returned = await resource.update({ rollback: "return" });
    assert.equal(returned.state, "Canceled");
    const report = await reportOf(lab, resource);
    const { comparison } = report.tables.find(({ table }) => table === "t")!;
    assert.deepEqual([comparison?.occasion, comparison?.result, comparison?.sourceRows], ["return", "equal", 1]);
    assert(report.notMigrated.some(({ code, object }) => code === "PGM-606" && /Made/.test(object!)));
    assert(report.timeline.some(({ subState }) => subState === "returned"));
    assertFinding(returned, /TABLE "public"\."Made": .*not returned to the source/);
    assertFinding(returned, /large objects, which logical replication omits: .*not returned to the source/);
    await lab.source.query("INSERT INTO t VALUES (2)", { database });
    assert.match(
      await Resource.failure(resource.update({ rollback: "drop" })),
      new RegExp(`Canceled: ${database}: returned to the source, which has all writes of the target`),
    );
    await resource.destroy();
  });

  it('fences the target at a return, so that no later write is lost, until fence: "none" is set', async () => {
    const database = await lab.database("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)");
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.target.query(
      `CREATE ROLE clerk LOGIN PASSWORD 'clerk'; CREATE ROLE stubborn LOGIN PASSWORD 'stubborn';
       ALTER ROLE stubborn SET default_transaction_read_only = off; GRANT ALL ON t TO PUBLIC;
       ALTER ROLE clerk IN DATABASE ${database} SET default_transaction_read_only = 'no'`,
      lab.onTarget(database),
    );
    const before = await settingsOnTarget(lab, database);
    const logins = [lab.administrator, ...["clerk", "stubborn"].map((name) => ({ user: name, password: name }))];
    const writers = new InsistentWriters(
      database,
      logins.map((login) => ({ ...lab.target.login, ...login })),
    );
    const operator = await lab.target.connect(database);
    try {
      await until("the writers have inserted rows", () => writers.acknowledged > 100);
      assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
      await until("the writers get read-only errors", () => writers.ends.has("25006"));
      await operator.query("SELECT 'is not terminated'");
    } finally {
      await Promise.all([writers.stop(), operator.end()]);
    }
    const [rows] = await lab.source.query<{ count: number }>("SELECT count(*)::int FROM t", { database });
    assert.equal(rows!.count, writers.acknowledged);
    await assertSameContent(...lab.places(database));
    assert(resource.status.cutoverTimeline.some(({ step }) => step === "return: put up the fence"));
    assertFinding(resource.status, /sessions of postgres on the target are still open/);
    for (const login of [{}, ...logins])
      await assert.rejects(lab.target.query("INSERT INTO t (v) VALUES ('late')", { database, login }), {
        code: "25006",
      });

    await resource.update({ fence: "none" });
    assert.deepEqual(await settingsOnTarget(lab, database), before);
    await lab.target.query("INSERT INTO t (v) VALUES ('free')", lab.onTarget(database));
    await resource.destroy();
  });

  it("refuses a return while the source has foreign rows, and returns after they are removed", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await cutOverAndKeep(lab, database);
    await lab.target.query("INSERT INTO t VALUES (1)", lab.onTarget(database));
    await lab.source.query("INSERT INTO t VALUES (77)", { database });
    const text = await Resource.failure(resource.update({ rollback: "return" }));
    assert.match(text, /2 rows on the source, 1 on the target: missing \(id = 77\)/);
    assert.equal(resource.status.state, "Failed");
    assert.match((await rollbackOf(resource, database))!.message!, /the return failed: .*id = 77/s);
    await lab.source.query("DELETE FROM t WHERE id = 77", { database });
    assert.equal((await resource.update({})).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it('ends with rollback: "drop", which removes its objects on both servers and keeps the source\'s rows', async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY); CREATE TABLE keyless (a int)");
    const resource = await cutOverAndKeep(lab, database);
    await lab.target.query("INSERT INTO t DEFAULT VALUES; INSERT INTO keyless VALUES (1)", lab.onTarget(database));
    await arrives(database, "SELECT FROM t, keyless");
    await until("the source's sequence is ahead", async () => {
      const [row] = await lab.source.query<{ ahead: boolean }>("SELECT last_value > 1 AS ahead FROM t_id_seq", {
        database,
      });
      return row!.ahead;
    });
    await until("the status counts both inserts", async () => (await rollbackOf(resource, database))?.inserts === 2);
    const { worker } = await resource.refresh();
    const obstacle = await lab.target.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE keyless IN ROW EXCLUSIVE MODE");
    const dropping = resource.update({ rollback: "drop" });
    const waiting = `FROM pg_stat_activity WHERE datname = '${database}' AND wait_event_type = 'Lock'`;
    await until(
      "the drop waits for the lock",
      async () => (await lab.target.query(`SELECT pg_terminate_backend(pid) ${waiting}`)).length > 0,
    );
    await lab.source.halt();
    const starting = await startStartingServer(lab.source.port);
    await obstacle.end();
    const slots = "SELECT FROM pg_replication_slots WHERE database = $1";
    await until("the target has no slot", async () => {
      return (await lab.target.query(slots, { values: [database] })).length === 0;
    });
    await starting.untilAsked(2);
    await starting.stop();
    await lab.source.resume();
    assert.equal((await dropping).state, "Succeeded");
    assert.equal(resource.status.worker.pid, worker.pid, "a lost connection does not end the worker");
    await lab.target.query("INSERT INTO t DEFAULT VALUES", lab.onTarget(database));
    assert.equal((await lab.source.query("SELECT FROM t", { database })).length, 1);
    const identities = "SELECT relreplident AS kind FROM pg_class WHERE relname = 'keyless'";
    assert.deepEqual(await lab.target.query(identities, lab.onTarget(database)), [{ kind: "d" }]);
    const schemas = "SELECT FROM pg_namespace WHERE nspname = 'pgmigration'";
    assert.deepEqual(await lab.source.query(schemas, { database }), []);
    assert.match((await resource.failures({ ...resource.inputs, rollback: "keep" })).join(), /^rollback: .*has ended/);
    assert.match(
      (await resource.failures({ ...resource.inputs, rollback: "return" })).join(),
      /^rollback: no rollback replication/,
    );
    await resource.destroy();
  });

  it("writes to no excluded table or sequence whose name the owner of another one takes on the target", async () => {
    const database = await lab.database(`
      CREATE TABLE mine (id int PRIMARY KEY, v text); INSERT INTO mine VALUES (1, 'mine');
      CREATE TABLE payroll (id serial PRIMARY KEY, v text); INSERT INTO payroll (v) VALUES ('of another owner')`);
    const resource = await cutOverAndKeep(lab, database, { exclude: { tables: ["public.payroll"] } });
    await lab.queryTarget(
      database,
      `CREATE SEQUENCE payroll_id_seq; SELECT setval('payroll_id_seq', 5000);
       ALTER TABLE mine RENAME TO payroll; UPDATE payroll SET v = 'changed'; INSERT INTO payroll VALUES (2, 'new')`,
    );
    await arrives(database, "SELECT FROM mine WHERE v = 'new'");
    assert.deepEqual(await lab.querySource(database, "SELECT * FROM payroll"), [{ id: 1, v: "of another owner" }]);
    assert.deepEqual(await lab.querySource(database, "SELECT last_value::int FROM payroll_id_seq"), [
      { last_value: 1 },
    ]);
    const text = await Resource.failure(resource.update({ rollback: "return" }));
    assert.match(
      text,
      /the target has renamed "public"\."mine" to "public"\."payroll".*former names.*rollback to drop/s,
    );
    await resource.update({ rollback: "drop" });
    assert.equal(resource.status.state, "Succeeded");
    await resource.destroy();
  });

  it("writes to the same tables after they exchanged their names on the target, and returns when they have these again", async () => {
    const database = await lab.database(`
      CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'of a');
      CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'of b');
      CREATE TABLE emptied (id int PRIMARY KEY, v text); INSERT INTO emptied VALUES (1, 'old')`);
    const resource = await cutOverAndKeep(lab, database);
    const exchange = "ALTER TABLE a RENAME TO z; ALTER TABLE b RENAME TO a; ALTER TABLE z RENAME TO b";
    await lab.queryTarget(
      database,
      `BEGIN; INSERT INTO a VALUES (2, 'before'); ${exchange}; UPDATE a SET v = 'was b'; INSERT INTO b VALUES (3, 'to a');
       ALTER TABLE emptied RENAME TO gone; TRUNCATE gone; COMMIT`,
    );
    await arrives(database, "SELECT FROM b WHERE v = 'was b'");
    const rows = (table: string): Promise<unknown> => lab.querySource(database, `SELECT * FROM ${table} ORDER BY 1`);
    assert.deepEqual(await rows("a"), [
      { id: 1, v: "of a" },
      { id: 2, v: "before" },
      { id: 3, v: "to a" },
    ]);
    assert.deepEqual(await rows("b"), [{ id: 1, v: "was b" }]);
    assert.deepEqual(await rows("emptied"), []);
    const text = await Resource.failure(resource.update({ rollback: "return" }));
    assert.match(
      text,
      /renamed "public"\."b" to "public"\."a", "public"\."a" to "public"\."b", "public"\."emptied" to /,
    );
    await lab.queryTarget(
      database,
      `UPDATE a SET v = 'of b again'; ${exchange}; ALTER TABLE gone RENAME TO emptied; DELETE FROM a WHERE id = 1`,
    );
    assert.equal((await resource.update({})).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
