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

  it("pauses on a change that the source refuses, resumes after it is corrected, and is removed with the resource", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1); CREATE PUBLICATION users FOR ALL TABLES",
    );
    const resource = await cutOverAndKeep(lab, database);
    await lab.target.query("ALTER TABLE t ADD COLUMN v text; INSERT INTO t VALUES (1, 'new')", lab.onTarget(database));
    await until("the replication is paused", async () => (await rollbackOf(resource, database))?.state === "paused");
    assert.match(
      (await rollbackOf(resource, database))!.message!,
      /table "public"."t" on the source lacks v\. The table on the target was altered.*To do: on the source, ALTER TABLE.*the rollback replication then resumes/s,
    );
    assert.equal((await resource.refresh()).state, "WaitingForUserAction");
    await lab.source.query("ALTER TABLE t ADD COLUMN v text", { database });
    await arrives(database, "SELECT FROM t WHERE v = 'new'");
    await lab.source.query("INSERT INTO t VALUES (5, 'otherwise')", { database });
    await lab.target.query("INSERT INTO t VALUES (5, 'taken')", lab.onTarget(database));
    await until("the message names the row and the remedy", async () =>
      /INSERT of .*id.*5.* in "public"\."t".*To do: another session wrote to the source after the cutover.*correct it on the source/s.test(
        (await rollbackOf(resource, database))?.message ?? "",
      ),
    );
    await lab.source.query("DELETE FROM t WHERE id = 5", { database });
    await arrives(database, "SELECT FROM t WHERE v = 'taken'");
    // The source's own publication includes the table, which has no replica identity.
    await lab.target.query("DELETE FROM keyless", lab.onTarget(database));
    await until("the message names the server on which the table needs a replica identity", async () =>
      new RegExp(
        `${database} on ${lab.source.login.host}:${lab.source.port}: .*To do: .*set REPLICA IDENTITY`,
        "s",
      ).test((await rollbackOf(resource, database))?.message ?? ""),
    );
    await lab.source.query("ALTER TABLE keyless REPLICA IDENTITY FULL", { database });
    await until(
      "the delete is applied",
      async () => (await lab.source.query("SELECT FROM keyless", { database })).length === 0,
    );
    await resource.destroy();
    assert.deepEqual(
      await lab.source.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'", { database }),
      [],
    );
  });

  it("refuses triggers and rules that would fire on the source for the target's changes", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (id int); CREATE TABLE excluded (id int PRIMARY KEY);
      CREATE FUNCTION write_log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (NEW.id); RETURN NEW; END';
      CREATE TRIGGER always AFTER INSERT ON t FOR EACH ROW EXECUTE PROCEDURE write_log();
      CREATE RULE replica AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (NEW.id);
      ALTER TABLE t ENABLE ALWAYS TRIGGER always; ALTER TABLE t ENABLE REPLICA RULE replica;
      CREATE TRIGGER always AFTER INSERT ON excluded FOR EACH ROW EXECUTE PROCEDURE write_log();
      ALTER TABLE excluded ENABLE ALWAYS TRIGGER always`);
    const resource = new Resource();
    const exclude = { tables: ["public.excluded"] };
    const text = await Resource.failure(
      resource.create(lab.onlineInputs([database], { rollback: "keep", verification: "none", exclude })),
    );
    assert.match(text, /trigger "always" of "public"."t" on the source fires for replicated changes/);
    assert.match(text, /on the source: ALTER TABLE "public"."t" ENABLE RULE "replica"/);
    assert.doesNotMatch(text, /excluded/);
    await resource.update({ rollback: "drop" });
    const refused = await Resource.failure(resource.update({ rollback: "keep", triggerCutover: true }));
    assert.match(refused, /cannot keep a rollback replication.*trigger "always" of "public"."t"/s);
    await lab.source.query("ALTER TABLE t ENABLE TRIGGER always; ALTER TABLE t ENABLE RULE replica", { database });
    assert.equal((await resource.update({ verification: "content" })).state, "WaitingForUserAction");
    await lab.source.query("ALTER TABLE t ENABLE ALWAYS TRIGGER always", { database });
    await until("the replication is paused", async () => (await rollbackOf(resource, database))?.state === "paused");
    const firing = /PGM-605: trigger "always" of "public"."t" .*ENABLE TRIGGER "always"/s;
    assert.match((await rollbackOf(resource, database))!.message!, firing);
    await lab.source.query("ALTER TABLE t ENABLE TRIGGER always; ALTER TABLE t ENABLE REPLICA RULE replica", {
      database,
    });
    const now = await Resource.failure(resource.update({ rollback: "return" }));
    assert.match(now, /PGM-605: rule "replica" of "public"."t" .*ENABLE RULE "replica"/s);
    assert.doesNotMatch(now, /trigger "always"/, "it no longer fires");
    await resource.update({ rollback: "keep" });
    await lab.source.query("ALTER TABLE t ENABLE RULE replica", { database });
    await lab.target.query("INSERT INTO t VALUES (1); UPDATE t SET id = 2", lab.onTarget(database));
    await arrives(database, "SELECT FROM t WHERE id = 2");
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    assert.deepEqual(await lab.source.query("SELECT id FROM log ORDER BY 1", { database }), [{ id: 1 }, { id: 2 }]);
    await resource.destroy();
  });

  it("causes a finding that prevents the cutover if the target does not allow logical replication", async () => {
    const few = { max_replication_slots: "1", max_wal_senders: "1" };
    const parameters = { wal_level: "replica", ...few, idle_replication_slot_timeout: "1h" };
    const plain = await Lab.start({ target: { major: 18, parameters } });
    try {
      const database = await plain.database("CREATE TABLE t (id int PRIMARY KEY)");
      const resource = new Resource();
      const inputs = plain.inputs([database], { migrationMode: "Online" });
      const text = await Resource.failure(resource.create({ ...inputs, rollback: "keep" }));
      for (const expected of [
        /wal_level is replica on the target; rollback replication needs logical/,
        /1 of 1 replication slots are free on the target, rollback replication needs 2.*max_replication_slots to 2 and restart/s,
        /1 of 1 WAL senders are free on the target, rollback replication needs 2.*max_wal_senders to 2 and restart/s,
        /the target invalidates a slot that is idle for 3600 s, and a return.*on the target, until/s,
      ])
        assert.match(text, expected);
      await resource.update({ rollback: "drop" });
      const refused = await Resource.failure(resource.update({ rollback: "keep", triggerCutover: true }));
      assert.match(refused, /cannot keep a rollback replication.*wal_level/s);
      assert.deepEqual(resource.status.cutoverTimeline, [], "no step of the cutover ran");
      assert.equal((await resource.update({ rollback: "drop" })).state, "Succeeded");
      await resource.destroy();
    } finally {
      await plain.stop();
    }
  });
});
