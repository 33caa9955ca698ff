import assert from "node:assert/strict";
import { assertSameContent, digests } from "../../support/content";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { condition, FailedCopy } from "./failed-copy";

describe("the rows of a failed attempt, later", () => {
  const scene = new FailedCopy();

  const copiedAgain = async (changes: Record<string, unknown>, why: RegExp): Promise<void> => {
    const before = await scene.rowsOnTarget();
    await scene.resource.update(changes);
    const after = await scene.rowsOnTarget().catch(() => "a table is missing");
    assert.notDeepEqual(after, before);
    assert.match(
      await scene.events(),
      new RegExp(`^the rows of 3 tables, .*, are copied again, because ${why.source}`, "m"),
    );
  };

  const assertSame = () => assertSameContent(...scene.lab.places(scene.database));

  it("are copied again if rows of the target changed", async () => {
    await scene.fail("23505", { verification: "none" });
    await scene.onTarget("DELETE FROM keyless WHERE v = 'v7'");
    await copiedAgain({}, /.*"public"\."keyless": 3000 rows on the source, 2999 on the target/);
    await assertSame();
  });

  it("are copied again if a large object of the source changed", async () => {
    await scene.fail("23505");
    await scene.onSource("SELECT lo_put(oid, 0, 'other') FROM pg_largeobject_metadata");
    await copiedAgain({}, /.*"pg_largeobject": 1 rows on both sides, some different/);
    const bytes = "SELECT lo_get(oid) AS bytes FROM pg_largeobject_metadata";
    assert.deepEqual(await scene.onTarget(bytes), await scene.onSource(bytes));
  });

  it("are copied again if an input that determines what is copied changed", async () => {
    await scene.fail("23505");
    await copiedAgain({ exclude: { tables: ["keyless"] } }, /exclude changed/);
    const [source, target] = scene.lab.places(scene.database);
    const { "public.keyless": excluded, ...expected } = await digests(source);
    assert.ok(excluded);
    assert.deepEqual(await digests(target), expected);
  });

  it("are copied again if the schema of the source changed", async () => {
    await scene.fail("23505");
    await scene.refuse("23505");
    await scene.onSource("DROP INDEX late");
    await copiedAgain({}, /the schema, a setting, an owner or a privilege changed on the source/);
    await assertSame();
  });

  it("are copied again if a setting of the database changed", async () => {
    await scene.fail("23505");
    await scene.onSource(`ALTER DATABASE ${scene.database} SET work_mem = '7MB'`);
    await copiedAgain({}, /the schema, a setting, an owner or a privilege changed on the source/);
    const settings = `SELECT setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = '${scene.database}'`;
    assert.deepEqual(await scene.onTarget(settings), [{ setconfig: ["work_mem=7MB"] }]);
  });

  it("are copied again if the privileges of a large object changed", async () => {
    await scene.fail("23505");
    await scene.onSource(
      "DO $$ BEGIN EXECUTE 'GRANT SELECT ON LARGE OBJECT ' || (SELECT oid FROM pg_largeobject_metadata) || ' TO PUBLIC'; END $$",
    );
    await copiedAgain({}, /the schema, a setting, an owner or a privilege changed on the source/);
    const granted = "SELECT FROM pg_largeobject_metadata, aclexplode(lomacl) WHERE grantee = 0";
    assert.equal(((await scene.onTarget(granted)) as unknown[]).length, 1);
  });

  it("are copied again if their database was replaced on the target, which has to be confirmed", async () => {
    await scene.fail("23505");
    await scene.lab.queryTarget("postgres", `DROP DATABASE ${scene.database}`);
    await scene.lab.queryTarget("postgres", `CREATE DATABASE ${scene.database}`);
    assert.match(await Resource.failure(scene.resource.update({})), /already exists on the target/);
    await scene.resource.update({ overwriteDbsInTarget: true });
    await assertSame();
  });

  it("are used again after a second failure, and if everything may be overwritten", async () => {
    await scene.fail("23505", { overwriteDbsInTarget: true });
    const before = await scene.rowsOnTarget();
    await scene.refuse("22012");
    assert.match(await Resource.failure(scene.resource.update({})), /INDEX public\.late was refused/);
    await scene.refuse("00000");
    assert.equal((await scene.resource.update({})).state, "Succeeded");
    assert.deepEqual(await scene.rowsOnTarget(), before);
    await assertSame();
  });

  it("are copied again online if the target refused them, because their correction would follow too late", async () => {
    const failure = await scene.fail("23505", { migrationMode: "Online" });
    assert.doesNotMatch(failure, /stays on the source/);
    assert.deepEqual(await scene.lab.source.query("SELECT FROM pg_replication_slots"), []);
    await scene.onSource("UPDATE keyed SET v = 'corrected' WHERE id = 7");
    await scene.resource.update({ triggerCutover: true });
    await assertSame();
  });

  it("are copied again online if the slot was dropped", async () => {
    await scene.fail("53100", { migrationMode: "Online" });
    await scene.lab.source.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    await scene.onSource("UPDATE keyed SET v = 'changed' WHERE id = 7");
    await copiedAgain({}, /the slot \w+ does not exist/);
    await scene.resource.update({ triggerCutover: true });
    await assertSame();
  });

  it("are used offline with rows of a new snapshot, if not all were copied", async () => {
    await scene.onSource(`ALTER TABLE keyless ADD CHECK (v <> 'v2900' OR ${condition})`);
    await scene.fail("23505", { tableJobs: 1, splitTablesLargerThan: "64kB" });
    const parts = await scene.lab.target.query(
      "SELECT state FROM pgmigration.copy_task WHERE database = $1 AND table_name = 'keyless' AND kind = 'table' ORDER BY id",
      { values: [scene.database] },
    );
    assert.deepEqual([parts[0], parts.at(-1)], [{ state: "completed" }, { state: "errored" }]);
    const keyed =
      "SELECT pg_relation_filenode('keyed') AS file, min(xmin::text) AS first, max(xmin::text) AS last FROM keyed";
    const before = await scene.onTarget(keyed);
    await scene.onSource("DELETE FROM keyless WHERE v < 'v2'; INSERT INTO refers VALUES (7)");
    assert.equal((await scene.resource.update({})).state, "Succeeded");
    assert.deepEqual(await scene.onTarget(keyed), before);
    assert.match(await scene.events(), /^the rows of 1 table, which an earlier attempt copied, are used again$/m);
    assert.match(await scene.events(), /\n0 transactions were committed on the source after the snapshot/);
    await assertSame();
  });

  it("are copied again if large objects were copied only in part", async () => {
    await scene.onSource(`ALTER TABLE refers ADD CHECK (${condition})`);
    await scene.fail("23505", { tableJobs: 1 });
    // As if the attempt had ended between two batches.
    await scene.lab.target.query(
      `UPDATE pgmigration.database SET shared_copy = shared_copy || '{"largeObjectsCopied": false}' WHERE name = $1`,
      { values: [scene.database] },
    );
    await scene.resource.update({});
    assert.match(
      await scene.events(),
      /^the rows of 2 tables, .*, are copied again, because large objects were copied only in part$/m,
    );
    const bytes = "SELECT lo_get(oid) AS bytes FROM pg_largeobject_metadata";
    assert.deepEqual(await scene.onTarget(bytes), await scene.onSource(bytes));
    await assertSame();
  });

  it("are used online if not all were copied, and the other tables join the stream", async () => {
    await scene.onSource(
      `SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
       CREATE TABLE full_disk AS SELECT 'v' || i AS v FROM generate_series(1, 2000) i;
       ALTER TABLE full_disk ADD CHECK (${condition})`,
    );
    await scene.fail("53100", { migrationMode: "Online", tableJobs: 1 });
    const tasks = `SELECT state, claimed_by IS NULL AS "isUnclaimed" FROM pgmigration.copy_task
      WHERE database = $1 AND table_name IN ('full_disk', 'refers') AND kind = 'table' ORDER BY id`;
    assert.deepEqual(await scene.lab.target.query(tasks, { values: [scene.database] }), [
      { state: "errored", isUnclaimed: false },
      { state: "queued", isUnclaimed: true },
    ]);
    const rows = "SELECT min(xmin::text) AS first, pg_relation_filenode('keyless') AS file FROM keyless WHERE v = 'v1'";
    const before = await scene.onTarget(rows);
    await scene.onSource("INSERT INTO refers VALUES (7); UPDATE keyed SET v = 'changed' WHERE id < 10");
    await scene.resource.update({});
    await scene.onSource("INSERT INTO refers VALUES (8); INSERT INTO keyless VALUES ('new')");
    assert.match(
      await scene.events(),
      /^copied later, when they join the stream: ("public"\."(full_disk|refers)"(, |$)){2}/m,
    );
    assert.match(await scene.events(), /^the rows of 2 tables, which an earlier attempt copied, are used again$/m);
    assert.equal((await scene.resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await scene.onTarget(rows), before);
    await assertSame();
  });

  it("are copied again online if not all were copied, and large objects are among the others", async () => {
    await scene.onSource(`ALTER TABLE refers ADD CHECK (${condition})`);
    await scene.fail("53100", { migrationMode: "Online", tableJobs: 1 });
    await scene.resource.update({});
    assert.match(
      await scene.events(),
      /^the rows of 2 tables, .*, are copied again, because large objects cannot join the stream$/m,
    );
    await scene.resource.update({ triggerCutover: true });
    await assertSame();
  });

  it("are used online if only another worker of the copy met the failure", async () => {
    // Each worker takes one of the last two tables. The leader's takes long.
    const table = (name: string): string => `
      CREATE TABLE ${name} (v text); ALTER TABLE ${name} ALTER v SET STORAGE EXTERNAL;
      INSERT INTO ${name} SELECT repeat('x', 8000) FROM generate_series(1, 12);
      ALTER TABLE ${name} ADD CHECK (query_to_xml('SELECT public.tried_by_helper()', true, true, '') IS NOT NULL)`;
    await scene.onSource(`
      CREATE FUNCTION tried_by_helper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('test.refusal') = '00000' THEN RETURN 1; END IF;
        IF current_setting('application_name') LIKE '%h' THEN RETURN public.tried(1); END IF;
        PERFORM pg_sleep(2);
        RETURN 1;
      END $$;
      DROP INDEX late; INSERT INTO keyless SELECT 'v' || i FROM generate_series(3001, 9000) i;
      SELECT lo_unlink(oid) FROM pg_largeobject_metadata; ${table("one")}; ${table("two")}`);
    const failure = await scene.fail("53100", { migrationMode: "Online", workers: 2, tableJobs: 1 });
    assert.match(failure, /the next attempt uses the copied rows of \w+ again/);
    const rows = "SELECT min(xmin::text) AS first, pg_relation_filenode('keyed') AS file FROM keyed";
    const before = await scene.onTarget(rows);
    await scene.resource.update({ triggerCutover: true });
    assert.deepEqual(await scene.onTarget(rows), before);
    await assertSame();
  });

  it("are copied again online if a crash of the target emptied an unlogged table", async () => {
    await scene.onSource("CREATE UNLOGGED TABLE emptied AS SELECT generate_series(1, 2000) AS id");
    await scene.fail("53100", { migrationMode: "Online" });
    await scene.lab.target.restart("immediate");
    await scene.resource.update({});
    assert.match(
      await scene.events(),
      /^the target has crashed, which emptied these unlogged tables: "public"\."emptied"; all rows are copied again/m,
    );
    await scene.resource.update({ triggerCutover: true });
    await assertSame();
  });

  it("are used by the successor of a worker that was killed during the retry", async () => {
    await scene.fail("23505");
    const before = await scene.rowsOnTarget();
    const obstacle = await scene.lab.target.connect(scene.database, scene.lab.administrator);
    try {
      await obstacle.query("BEGIN; LOCK TABLE refers");
      await scene.resource.update({ waitFor: "started" });
      await until("the comparison waits for the lock", async () => {
        const waiting = "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
        return (await scene.lab.target.query(waiting, { values: [scene.database] })).length > 0;
      });
      process.kill((await scene.resource.refresh()).worker.pid!, "SIGKILL");
      await until("the lease is free", async () => (await scene.resource.refresh()).worker.state === "lost");
    } finally {
      await obstacle.end();
    }
    assert.equal((await scene.resource.update({ waitFor: undefined })).state, "Succeeded");
    assert.deepEqual(await scene.rowsOnTarget(), before);
    await assertSame();
  });
});
