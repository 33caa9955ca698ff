import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

describe("an offline migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("migrates AdventureWorks completely, reports its work, and leaves nothing after destroy", async () => {
    const database = await lab.adventureWorks();
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database]));
    assert.equal(status.state, "Succeeded");
    assert.equal(status.currentSubStateDetails.currentSubState, "Completed");
    const details = status.currentSubStateDetails.dbDetails[database]!;
    assert.equal(details.migrationState, "Succeeded");
    assert.equal(details.fullLoadCompletedTables, 68);
    assert.equal(details.fullLoadQueuedTables + details.fullLoadLoadingTables + details.fullLoadErroredTables, 0);
    assert.equal(details.tablesCompared, 68);
    assert.equal(details.tablesDifferent, 0);
    assert(details.bytesCopied > 0 && details.rowsCopied > 0 && details.indexesCompleted === details.indexesTotal);
    const tables = await assertSameContent(
      { server: lab.source, database },
      { server: lab.target, database, login: lab.administrator },
    );
    assert.equal(tables, 70, "68 tables and 2 materialized views");
    assert(
      resource.reported.some((line) => /tables/.test(line)),
      "progress was shown",
    );

    await resource.destroy();
    assert((await lab.targetDatabases()).includes(database), "the migrated data stays");
    const schemas = await lab.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'");
    assert.equal(schemas.length, 0, "the records are dropped with the last migration");
  });

  it("adopts an ended migration if the inputs request it, and refuses a different one of that name", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const inputs = lab.inputs([database]);
    const first = new Resource();
    await first.create(inputs);
    await lab.target.query("INSERT INTO t VALUES (2)", { database, login: lab.administrator });
    const second = new Resource();
    assert.equal((await second.create({ ...inputs, onExistingRecord: "adopt" })).state, "Succeeded");
    assert.equal(second.id, first.id);
    const rows = await lab.target.query("SELECT FROM t", { database, login: lab.administrator });
    assert.equal(rows.length, 2, "an adopted migration is not run again");
    for (const [name, change] of Object.entries({
      migrationMode: { migrationMode: "Online" },
      exclude: { exclude: { tables: ["t"] }, onExistingRecord: "adopt" },
      schemaOnly: { schemaOnly: true, onExistingRecord: "adopt" },
    })) {
      const text = await Resource.failure(new Resource().create({ ...inputs, ...change }));
      assert.match(text, new RegExp(`already exists on .*, with another ${name}`));
    }
    await second.destroy();
  });

  it("replaces an existing database only with overwriteDbsInTarget", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    await lab.target.query("CREATE TABLE precious (id int)", { database, login: lab.administrator });
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs([database])));
    assert.match(text, /ValidationFailed/);
    assert.match(text, /603101/);
    assert.match(text, /overwriteDbsInTarget to true/);
    assert.equal(resource.status.state, "ValidationFailed");
    const kept = await lab.target.query("SELECT FROM pg_class WHERE relname = 'precious'", { database });
    assert.equal(kept.length, 1, "the target is untouched");
    assert.equal((await resource.diff()).changes, true, "the next up retries");
    assert.equal((await resource.update({ overwriteDbsInTarget: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("with migrationOption Validate leaves nothing but the record", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database], { migrationOption: "Validate" }));
    assert.equal(status.state, "Succeeded");
    assert.equal(status.currentSubStateDetails.validationDetails?.status, "Succeeded");
    assert(!(await lab.targetDatabases()).includes(database));
    assert.equal((await resource.update({ migrationOption: "ValidateAndMigrate" })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("migrates several databases in one migration", async () => {
    const databases = [
      await lab.database("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 5000)"),
      await lab.database("CREATE TABLE b (v text); INSERT INTO b SELECT md5(i::text) FROM generate_series(1, 5000) i"),
    ];
    const resource = new Resource();
    assert.equal((await resource.create(lab.inputs(databases))).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });
});
