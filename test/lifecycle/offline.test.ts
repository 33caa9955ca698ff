import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertSameContent } from "../support/content";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { assertReportedRows, reportOf, statesIn, strictlyParsed } from "../support/report";
import { Resource } from "../support/resource";

describe("an offline migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  const undo: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const step of undo.splice(0)) await step();
  });

  after(() => lab.stop());

  it("migrates AdventureWorks completely, reports its work, and leaves nothing after destroy", async () => {
    const database = await lab.adventureWorks();
    const resource = new Resource();
    const folder = await mkdtemp(join(tmpdir(), "reports-"));
    undo.push(() => rm(folder, { recursive: true }));
    const inputs = lab.inputs([database], { report: folder });
    const status = await resource.create(inputs);
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

    const path = (format: string): string => join(folder, `${inputs.migrationName as string}.${format}`);
    const report = strictlyParsed(await readFile(path("json"), "utf8"));
    assert.equal(report.migration.state, "Succeeded");
    await assertReportedRows(lab, report, database);
    assert.equal(report.tables.length, 68);
    const { snapshotLsn } = report.databases[0]!;
    assert.match(snapshotLsn!, /^[0-9A-F]+\/[0-9A-F]+$/);
    for (const { comparison, state, rowsCopied } of report.tables) {
      assert.deepEqual([state, rowsCopied], ["completed", comparison?.sourceRows]);
      const { result, by, occasion, lsn } = comparison!;
      assert.deepEqual([result, by, occasion, lsn], ["equal", "content", "copy", snapshotLsn]);
    }
    const sequences = await lab.querySource<{ name: string; last: string }>(
      database,
      "SELECT schemaname || '.' || sequencename AS name, last_value::text AS last FROM pg_sequences WHERE last_value IS NOT NULL",
    );
    for (const { name, last } of sequences)
      assert.equal(report.sequences.find((one) => `${one.schema}.${one.sequence}` === name)?.lastValue, last, name);
    assert.match(report.source.version!, /^14\./);
    assert.match(report.target.version!, /^17\./);
    assert.deepEqual(statesIn(report), [
      "InProgress PerformingPreRequisiteSteps",
      "InProgress ValidationInProgress",
      "InProgress MigratingData",
      "Succeeded Completed",
    ]);

    await resource.destroy();
    assert.match(await readFile(path("html"), "utf8"), /<h1>.*Succeeded/);
    for (const format of ["html", "json"])
      for (const login of [lab.source.login, lab.administrator])
        assert(!(await readFile(path(format), "utf8")).includes(login.password), "no password");
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
    const renamed = new Resource();
    const databaseNames = { [database]: database.toUpperCase() };
    await lab.target.query(`CREATE DATABASE "${database.toUpperCase()}"`);
    assert.match(
      await Resource.failure(renamed.create(lab.inputs([database], { databaseNames }))),
      new RegExp(`603101: set overwriteDbsInTarget to true .* "${database.toUpperCase()}"`),
    );
    assert.match(
      await Resource.failure(renamed.update({ overwriteDbsInTarget: true })),
      new RegExp(`603117: ALTER DATABASE "${database.toUpperCase()}" OWNER TO`),
    );
    await renamed.destroy();
    const text = await Resource.failure(resource.create(lab.inputs([database])));
    assert.match(text, /ValidationFailed/);
    assert.match(text, /603101/);
    assert.match(text, /overwriteDbsInTarget to true/);
    assert.equal(resource.status.state, "ValidationFailed");
    const kept = await lab.target.query("SELECT FROM pg_class WHERE relname = 'precious'", { database });
    assert.equal(kept.length, 1, "the target is untouched");
    assert.equal((await resource.diff()).changes, true, "the next up retries");
    const findingOf = async (): Promise<unknown> => {
      const { findings } = await reportOf(lab, resource);
      return findings.filter(({ code }) => code === "603101").map(({ status, severity }) => [status, severity]);
    };
    assert.deepEqual(await findingOf(), [["open", "Failed"]]);
    assert.equal((await resource.update({ overwriteDbsInTarget: true })).state, "Succeeded");
    assert.deepEqual(await findingOf(), [["resolved", "Failed"]]);
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
    // A file is not a directory.
    const report = join(__filename, "report.html");
    const migrated = await resource.update({ migrationOption: "ValidateAndMigrate", report });
    assert.equal(migrated.state, "Succeeded", "a report that cannot be written does not fail the migration");
    assertFinding(migrated, /report\.html: the report cannot be written: EEXIST/);
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
