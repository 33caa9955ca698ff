import assert from "node:assert/strict";

import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { cutOverAndKeep, rollbackOf, settingsOnTarget } from "./rollback-scene";
import { Traffic } from "../../support/traffic";

describe("rollback replication", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("applies every write of the target to the source although workers are killed, and returns without loss", async () => {
    const database = await lab.database(`${Traffic.schema}
      CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT i % 5, 'twin' FROM generate_series(1, 20) i;
      CREATE TABLE counted (id serial PRIMARY KEY, v text); INSERT INTO counted (v) VALUES ('before');
      CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM counted`);
    const resource = await cutOverAndKeep(lab, database);
    assert.deepEqual(
      await lab.source.query("SELECT FROM pg_replication_slots"),
      [],
      "the stream from the source has ended",
    );
    const traffic = Traffic.start(lab.target, database, 3);
    try {
      await lab.target.query(
        `INSERT INTO counted (v) VALUES ('after'), ('after'); UPDATE keyless SET b = 'changed' WHERE a = 1;
         DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 2)`,
        lab.onTarget(database),
      );
      for (let round = 0; round < 2; round++) {
        await traffic.forTransactions(100);
        const { worker } = await resource.refresh();
        process.kill(worker.pid!, "SIGKILL");
        await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
        await traffic.forTransactions(50);
        assert.equal((await resource.diff()).changes, true, "a lost worker is a change");
        const succeeded = await resource.update({});
        assert.equal(succeeded.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
      }
    } finally {
      await traffic.stop();
    }
    await lab.target.query("REFRESH MATERIALIZED VIEW total", { database });
    const returned = await resource.update({ rollback: "return" });
    assert.equal(returned.state, "Canceled");
    assert.equal(returned.currentSubStateDetails.dbDetails[database]!.rollbackReplication, undefined);
    await assertSameContent(...lab.places(database));
    await Traffic.assertWhole(lab.source, database, lab.source.login);
    const next = "SELECT nextval('counted_id_seq') AS id";
    assert.deepEqual(await lab.source.query(next, { database }), [{ id: "4" }]);
    assert.equal((await resource.diff()).changes, false, "a returned database is not migrated again");
    await resource.destroy();
  });

  it("lowers the target's fence if the return fails, is revoked after its worker died, or the resource is destroyed", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
    );
    const write = (id: number): Promise<unknown> =>
      lab.target.query("INSERT INTO t VALUES ($1)", { ...lab.onTarget(database), values: [id] });
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.source.query("BEGIN READ WRITE; INSERT INTO t VALUES (77); COMMIT", { database });
    assert.match(await Resource.failure(resource.update({ rollback: "return" })), /missing \(id = 77\)/);
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(1);
    await lab.source.query("BEGIN READ WRITE; DELETE FROM t WHERE id = 77; COMMIT", { database });

    await resource.update({ rollback: "keep" });
    const obstacle = await lab.source.connect(database);
    try {
      // Blocks the refresh of views, which follows the recorded LSN.
      await obstacle.query("BEGIN; TABLE m");
      await resource.update({ rollback: "return", waitFor: "started" });
      await until("the target is fenced", async () => (await settingsOnTarget(lab, database)).length > 0);
      await until("the return waits", async () => {
        const waiting = "SELECT FROM pg_stat_activity WHERE query LIKE '%REFRESH%' AND wait_event_type = 'Lock'";
        return (await lab.source.query(waiting)).length > 0;
      });
      assert.equal((await rollbackOf(resource, database))?.state, "returning");
      await assert.rejects(write(2), { code: "25006" });
      process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
      await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
      await assert.rejects(write(2), { code: "25006" });
    } finally {
      await obstacle.end();
    }
    await resource.update({ rollback: "keep", waitFor: undefined });
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(2);
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await assert.rejects(write(3), { code: "25006" });
    await resource.destroy();
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(3);
  });

  it("pauses at rows that shared a key on the target, until the source has no key either", async () => {
    const database = await lab.database(
      `CREATE TABLE t (id int CONSTRAINT k PRIMARY KEY, v text); ALTER TABLE t REPLICA IDENTITY FULL;
       INSERT INTO t SELECT i, 'old' FROM generate_series(1, 20) i`,
    );
    const resource = await cutOverAndKeep(lab, database, { verification: "none" });
    await lab.target.query(
      `BEGIN; ALTER TABLE t DROP CONSTRAINT k; INSERT INTO t VALUES (1, 'new'); DELETE FROM t WHERE id = 1 AND v = 'old';
       ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (id); COMMIT`,
      { database },
    );
    await until("the rollback replication is paused", async () => {
      const rollback = await rollbackOf(resource, database);
      return rollback?.state === "paused" && /drop the primary key of "public"."t"/.test(rollback.message ?? "");
    });
    await lab.source.query("ALTER TABLE t DROP CONSTRAINT k", { database });
    await until(
      "the rollback replication resumes",
      async () => (await rollbackOf(resource, database))?.state === "following",
    );
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("pauses at exchanged columns and at a table that was created again, until the source has them too", async () => {
    const database = await lab.database(
      `CREATE TABLE c (id int PRIMARY KEY, x int, y int); INSERT INTO c VALUES (1, 1, 2);
       CREATE TABLE p (id int, v text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
       INSERT INTO p VALUES (1, 'old')`,
    );
    const resource = await cutOverAndKeep(lab, database);
    const pausesAt = (table: string): Promise<void> =>
      until(`the rollback replication pauses at ${table}`, async () => {
        const { state, message = "" } = (await rollbackOf(resource, database))!;
        return state === "paused" && message.includes(`exchanged their names: changes of "public"."${table}"`);
      });
    const createAgain = "DROP TABLE p1; CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)";
    await lab.queryTarget(database, `${createAgain}; INSERT INTO p VALUES (1, 'new')`);
    await pausesAt("p1");
    assert.deepEqual(await lab.querySource(database, "SELECT v FROM p"), [{ v: "old" }]);
    await lab.querySource(database, createAgain);
    await arrives(database, "SELECT FROM p WHERE v = 'new'");
    const exchange =
      "ALTER TABLE c RENAME x TO z; ALTER TABLE c RENAME y TO x; ALTER TABLE c RENAME z TO y; UPDATE c SET x = 5";
    await lab.queryTarget(database, exchange);
    await pausesAt("c");
    assert.deepEqual(await lab.querySource(database, "SELECT * FROM c"), [{ id: 1, x: 1, y: 2 }]);
    await lab.querySource(database, exchange.replace(/; UPDATE.*/, ""));
    await arrives(database, "SELECT FROM c WHERE x = 5 AND y = 1");
    await lab.queryTarget(database, "ALTER TABLE c RENAME y TO renamed; UPDATE c SET renamed = 6");
    await until("the rollback replication pauses at the renamed column", async () => {
      const { message = "" } = (await rollbackOf(resource, database))!;
      return /if a column was renamed, rename it in the same way; otherwise on the source, ALTER TABLE "public"."c" ADD/.test(
        message,
      );
    });
    await lab.querySource(database, "ALTER TABLE c RENAME y TO renamed");
    await arrives(database, "SELECT FROM c WHERE renamed = 6");
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("continues after a failed return, while another database keeps the worker alive", async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY)");
    const other = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database, other], { rollback: "keep", fence: "none" });
    await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [database] });
    await lab.source.query("INSERT INTO t VALUES (77)", { database });
    assert.match(await Resource.failure(resource.update({ rollback: "return" })), /unexpected|missing \(id = 77\)/);
    const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
    assert.equal(dbDetails[database]!.migrationState, "Failed");
    await lab.target.query(
      "INSERT INTO t SELECT nextval('t_id_seq') FROM generate_series(1, 50)",
      lab.onTarget(database),
    );
    await until("the source has the row of the target", async () => {
      return (await lab.source.query("SELECT FROM t WHERE id = 50", { database })).length === 1;
    });
    await until("the source's sequence is ahead of the target's", async () => {
      const [row] = await lab.source.query("SELECT last_value > 50 AS ahead FROM t_id_seq", { database });
      return row!.ahead as boolean;
    });
    await until("the state is shown", async () => (await rollbackOf(resource, database))?.state === "following");
    await lab.source.query("DELETE FROM t WHERE id = 77", { database });
    await resource.update({ dbsToTriggerCutoverOn: [database, other], rollback: "keep" });
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is only cleaned up by a successor if the source already has all rows, because applications may write there", async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.target.query("INSERT INTO t (v) VALUES ('on the target')", lab.onTarget(database));
    const obstacle = await lab.source.connect();
    try {
      // Blocks the removal of the fence.
      await obstacle.query("BEGIN; LOCK TABLE pg_db_role_setting IN SHARE MODE");
      await Resource.failure(resource.update({ rollback: "return", timeouts: { update: "1s" } }));
      await until("the source has all rows", async () => {
        const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
        return dbDetails[database]!.migrationOperation === "returned";
      });
      process.kill(resource.status.worker.pid!, "SIGKILL");
    } finally {
      await obstacle.end();
    }
    // The fence may remain until the last statement of the killed worker ends.
    const write = "BEGIN READ WRITE; INSERT INTO t (v) VALUES ('on the source'); COMMIT";
    for (let n = 0; n < 5; n++) await lab.source.query(write, { database });
    assert.equal((await resource.update({ timeouts: {} })).state, "Canceled");
    assert.deepEqual(await lab.source.query("INSERT INTO t (v) VALUES ('free') RETURNING id", { database }), [
      { id: 7 },
    ]);
    await resource.destroy();
  });

  it("returns although every connection is lost meanwhile", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await cutOverAndKeep(lab, database);
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await lab.target.query("INSERT INTO t VALUES (1)", lab.onTarget(database));
    const returning = resource.update({ rollback: "return" });
    const ours = `FROM pg_stat_activity WHERE datname = '${database}' AND application_name LIKE 'pg-migration %'`;
    await until(
      "the return has started",
      async () => (await lab.target.query(`SELECT ${ours} AND query LIKE 'SET lock_timeout%'`)).length > 0,
    );
    for (const server of [lab.source, lab.target]) await server.query(`SELECT pg_terminate_backend(pid) ${ours}`);
    await obstacle.end();
    assert.equal((await returning).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  const arrives = (database: string, sql: string): Promise<void> =>
    until(`the source shows ${sql}`, async () => (await lab.source.query(sql, { database })).length === 1);

  it("pauses on a change that the source refuses, resumes after it is corrected, and is removed with the resource", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1); CREATE PUBLICATION users FOR ALL TABLES",
    );
    const resource = await cutOverAndKeep(lab, database);
    await lab.target.query("ALTER TABLE t ADD COLUMN v text; INSERT INTO t VALUES (1, 'new')", lab.onTarget(database));
    await until("the replication is paused", async () => (await rollbackOf(resource, database))?.state === "paused");
    assert.match(
      (await rollbackOf(resource, database))!.message!,
      /table "public"."t" on the source lacks v\. The table on the target was altered.*To do: if a column was renamed, rename it in the same way; otherwise on the source, ALTER TABLE "public"\."t" ADD COLUMN "v" \.\.\. as on the target; the rollback replication then resumes/s,
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
