import assert from "node:assert/strict";
import type pg from "pg";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const urn = "urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm";

describe("overwriteDbsInTarget", () => {
  let lab: Lab;
  let database: string;
  let application: pg.Client | undefined;

  before(async () => {
    lab = await Lab.start();
    await lab.target.query("CREATE ROLE shop LOGIN PASSWORD 'shop'");
  });

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
  });

  afterEach(async () => {
    await application?.end();
    application = undefined;
  });

  after(() => lab.stop());

  async function startApplication(): Promise<void> {
    await lab.target.query("INSERT INTO t VALUES (999)", { database });
    application = await lab.target.connect(database, { user: "shop", password: "shop" });
    // Its end is what the test looks for.
    application.on("error", () => undefined);
  }

  async function assertKept(operation: Promise<unknown>, refusal: RegExp): Promise<void> {
    assert.match(await Resource.failure(operation), refusal);
    assert.equal((await lab.target.query("SELECT FROM t WHERE id = 999", { database })).length, 1);
    await application!.query("SELECT");
  }

  const inUse = /PGM-312.*applications use db_\w+ on the target, so it is not replaced: shop \(test\).*DROP DATABASE/s;

  async function assertReplaced(resource: Resource): Promise<void> {
    await application!.end();
    application = undefined;
    await resource.update({});
    assert.equal(resource.status.state, "Succeeded");
    assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 100);
  }

  it("with onExistingRecord restart keeps the record and a database that applications use since the cutover", async () => {
    const inputs = lab.onlineInputs([database], {
      ...{ overwriteDbsInTarget: true, onExistingRecord: "restart", triggerCutover: true, fence: "readOnly" },
    });
    const delivered = new Resource(urn);
    await delivered.create(inputs);
    await startApplication();
    const replacement = new Resource(urn);
    await assertKept(replacement.create(inputs), inUse);
    assert.equal((await delivered.refresh()).state, "Succeeded");
    await assert.rejects(lab.source.query("INSERT INTO t VALUES (1000)", { database }), /read-only/);
    await delivered.destroy();
  });

  it("of a replaced migration is shown in the preview, and drops no database that applications use", async () => {
    const delivered = new Resource(urn);
    await delivered.create(lab.inputs([database], { overwriteDbsInTarget: true }));
    await startApplication();
    const source = { ...lab.source.login, host: "localhost", sslMode: "Disable" };
    assert.deepEqual((await delivered.diff({ source })).replaces, ["source"]);
    assert.match(delivered.notes.join(), new RegExp(`overwriteDbsInTarget is true, it drops these .*: ${database}`));
    await delivered.destroy();
    const replacement = new Resource(urn);
    await assertKept(replacement.create({ ...delivered.inputs, source }), inUse);
    await assertReplaced(replacement);
    await replacement.destroy();
  });

  it("without a validation drops no database that applications use", async () => {
    await lab.target.query(`CREATE DATABASE ${database}`, { login: lab.administrator });
    await lab.target.query("CREATE TABLE t (id int)", { database });
    await startApplication();
    const resource = new Resource(urn);
    const changes = { overwriteDbsInTarget: true, migrationOption: "Migrate" };
    await assertKept(resource.create(lab.inputs([database], changes)), inUse);
    await assertReplaced(resource);
    await resource.destroy();
  });

  for (const [other, records] of [
    ["that has failed", "postgres"],
    ["that has no worker and records in another database", "other_records"],
  ] as const)
    it(`drops no database of an online migration ${other}`, async () => {
      const login = lab.administrator;
      if (records !== "postgres") await lab.target.query(`CREATE DATABASE ${records}`, { login });
      const replicating = await lab.follow([database]);
      process.kill(replicating.status.worker.pid!, "SIGKILL");
      await until("its lease is free", async () => (await replicating.refresh()).worker.state === "lost");
      if (records === "postgres")
        await lab.target.query("UPDATE pgmigration.migration SET state = 'Failed', ended_at = now()");
      const second = new Resource();
      const changes = { overwriteDbsInTarget: true, maintenanceDatabase: records };
      assert.match(
        await Resource.failure(second.create(lab.inputs([database], changes))),
        new RegExp(
          `PGM-303.*migration ${String(replicating.inputs.migrationName)}.* uses ${database} on this target`,
          "s",
        ),
      );
      await second.destroy();
      await lab.source.query("INSERT INTO t VALUES (101)", { database });
      assert.equal((await replicating.update({ triggerCutover: true })).state, "Succeeded");
      assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 101);
      await replicating.destroy();
    });
});
