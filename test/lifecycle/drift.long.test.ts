import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** Objects of a running migration are removed without Pulumi. */
describe("a migration", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
    resource = new Resource("urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm");
    await resource.create(lab.inputs([database], { migrationMode: "Online", overwriteDbsInTarget: true }));
  });

  afterEach(() => resource.destroy());
  after(() => lab.stop());

  const ownSlot = () =>
    lab.source.query<{ name: string; active: boolean }>(
      "SELECT slot_name AS name, active FROM pg_replication_slots WHERE database = $1",
      { values: [database] },
    );

  async function killWorker(): Promise<void> {
    process.kill(resource.status.worker.pid!, "SIGKILL");
    await until("its lease and its slot are free", async () => {
      const [slot] = await ownSlot();
      return (await resource.refresh()).worker.state === "lost" && slot?.active !== true;
    });
  }

  /** The next `up` repairs it, and the repaired migration reaches its cutover with all rows. */
  async function assertRepaired(note: RegExp): Promise<void> {
    assert.equal((await resource.diff()).changes, true);
    await resource.update({});
    assert.match(resource.notes.join(), note);
    await lab.source.query("INSERT INTO t VALUES (101)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 101);
  }

  it("without its record: refresh shows no worker, and an update starts it again", async () => {
    await lab.target.query("DELETE FROM pgmigration.migration");
    assert.equal((await resource.diff()).changes, true, "without a refresh, too");
    const { state, error, worker } = await resource.refresh();
    assert.deepEqual([state, worker], ["Failed", { state: "lost" }]);
    assert.match(error ?? "", /record is missing on the target; its state was WaitingForUserAction/);
    await assertRepaired(
      /the record of m-\w+ is missing on the target: the migration starts again, and copies everything/,
    );
  });

  it("whose record is missing after a cutover that Pulumi did not see: the database in use is not replaced", async () => {
    await lifecycle.update(resource.outputs, { ...resource.inputs, triggerCutover: true }, () => undefined);
    await lab.target.query("INSERT INTO t VALUES (1000)", { database });
    await lab.target.query("DELETE FROM pgmigration.migration");
    assert.match(
      await Resource.failure(resource.update({})),
      new RegExp(`the record of .* is missing, and ${database} on .* may be in use.*drop it on the target`, "s"),
    );
    assert.equal((await lab.target.query("SELECT FROM t WHERE id = 1000", { database })).length, 1);
  });

  it("whose record is missing after its success: an added database is refused, not shown as Succeeded", async () => {
    await resource.update({ triggerCutover: true });
    await lab.target.query("DELETE FROM pgmigration.migration");
    assert.equal((await resource.update({ tags: { a: "b" } })).state, "Succeeded");
    const added = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    assert.match(
      await Resource.failure(resource.update({ dbsToMigrate: [database, added] })),
      new RegExp(`${added} cannot be added: the record of .* is missing on the target.*another PgMigration`, "s"),
    );
  });

  it("whose record is missing after a validation: it migrates, and does not show the validation's success", async () => {
    await resource.destroy();
    const validated = new Resource();
    await validated.create(lab.inputs([database], { migrationOption: "Validate", overwriteDbsInTarget: true }));
    await lab.target.query("DROP SCHEMA pgmigration CASCADE");
    await validated.update({ migrationOption: "ValidateAndMigrate" });
    assert.equal(validated.status.currentSubStateDetails.dbDetails[database]?.rowsCopied, 100);
    await validated.destroy();
  });

  it("whose records another session locks: refresh ends with the last status", async () => {
    const session = await lab.target.connect("postgres");
    try {
      await session.query("BEGIN; LOCK TABLE pgmigration.migration");
      const { props } = await lifecycle.read(resource.id, resource.outputs, 500);
      assert.deepEqual(props, resource.outputs);
    } finally {
      await session.end();
    }
  });

  it("whose records' schema is missing", async () => {
    await lab.target.query("DROP SCHEMA pgmigration CASCADE");
    assert.equal((await resource.refresh()).worker.state, "lost");
    await assertRepaired(/starts again/);
  });

  it("without a worker: refresh names the slot with the WAL that it retains, also of an unreachable source", async () => {
    const kept = () => resource.status.currentSubStateDetails.dbDetails[database]?.keptSlot ?? "";
    assert.equal(kept(), "");
    const [slot] = await ownSlot();
    await killWorker();
    await lab.source.query("INSERT INTO t SELECT generate_series(1000, 100000)", { database });
    const details = (await resource.refresh()).currentSubStateDetails.dbDetails[database];
    const inMegabytes = new RegExp(
      `no worker reads the slot ${slot!.name}, which retains \\d+\\.\\d MB of WAL on the source until pulumi up resumes the migration or pulumi destroy removes the slot`,
    );
    assert.match(details?.keptSlot ?? "", inMegabytes);
    assert.ok(details!.retainedWalBytes! > 5 * 2 ** 20);
    await lab.source.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS false`);
    try {
      await resource.refresh();
      assert.match(kept(), /retains (at least \S+ \S+ of )?WAL on the source until pulumi up/);
    } finally {
      await lab.source.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS true`);
    }
    await resource.update({});
    assert.equal(kept(), "");
  });

  it("without its slot: refresh names it, and an update copies the database again", async () => {
    const [slot] = await ownSlot();
    await until("the slot is dropped", async () => {
      await lab.source.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
      return lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot!.name] }).then(
        () => true,
        () => false,
      );
    });
    await until("the worker has failed", async () => (await resource.refresh()).state === "Failed");
    const { error, currentSubStateDetails } = resource.status;
    const remedies = [...(error ?? "").matchAll(/To do: (.*)/g)].map(([, remedy]) => remedy);
    assert.deepEqual([...new Set(remedies)], ["run pulumi up, which copies the database again"]);
    assert.match(
      error ?? "",
      new RegExp(`the slot ${slot!.name} is missing on the source, so changes made since then are lost`),
    );
    assert.equal(currentSubStateDetails.dbDetails[database]?.migrationState, "Failed");
    await assertRepaired(/the slot .* is missing on the source/);
  });

  it("whose database is missing on the source: the error names the database, and no slot that retains WAL", async () => {
    await killWorker();
    await lab.source.query(`DROP DATABASE ${database} WITH (FORCE)`);
    const failure = await Resource.failure(resource.update({}));
    assert.match(failure, new RegExp(`${database}.*does not exist`));
    assert.doesNotMatch(failure, /stays on the source|retains WAL/);
  });

  it("whose publication is missing", async () => {
    await killWorker();
    const [{ pubname } = { pubname: "" }] = await lab.source.query<{ pubname: string }>(
      "SELECT pubname FROM pg_publication",
      {
        database,
      },
    );
    await lab.source.query(`DROP PUBLICATION ${pubname}`, { database });
    assert.match(
      (await resource.refresh()).error ?? "",
      new RegExp(`the publication ${pubname} is missing on the source`),
    );
    await assertRepaired(/the publication .* is missing on the source/);
  });
});
