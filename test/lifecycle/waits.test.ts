import assert from "node:assert/strict";
import type { Endpoint } from "../../provider/dist/postgres/connection/endpoint.js";
import { listMigrations } from "../../provider/dist/store/list-migrations.js";
import { withExistingStore } from "../../provider/dist/store/store.js";
import type { MigrationStatus, MigrationSubState } from "../../provider/dist/status.js";
import { assertSameContent } from "../support/content";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

/** Each wait of Azure's service, and the property that releases it. */
describe("a migration waits", () => {
  let lab: Lab;
  let database: string;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database(table);
  });

  after(() => lab.stop());

  function assertWaits(status: MigrationStatus, subState: MigrationSubState): void {
    assert.equal(status.currentSubStateDetails.currentSubState, subState);
    assert.equal(status.state, subState === "WaitingForDataMigrationWindow" ? "InProgress" : "WaitingForUserAction");
    assert.equal(status.worker.state, "running");
  }

  async function assertMigrated(status: MigrationStatus, resource: Resource): Promise<void> {
    assert.equal(status.state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  }

  it("for its databases, released by dbsToMigrate", async () => {
    const resource = new Resource();
    const status = await resource.create(lab.inputs([], { waitForConfirmation: true }));
    assertWaits(status, "WaitingForDBsToMigrateSpecification");
    assertWaits(await resource.update({ tableJobs: 2 }), "WaitingForDBsToMigrateSpecification");
    assert.equal((await resource.diff({ dbsToMigrate: [database] })).replaces, undefined, "an update, no replacement");
    await assertMigrated(await resource.update({ dbsToMigrate: [database] }), resource);
  });

  it("for permission to overwrite, released by overwriteDbsInTarget", async () => {
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database], { waitForConfirmation: "True" }));
    assertWaits(status, "WaitingForTargetDBOverwriteConfirmation");
    await assertMigrated(await resource.update({ overwriteDbsInTarget: "True" }), resource);
  });

  it("for its start after the validation, released by startDataMigration", async () => {
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database], { startDataMigration: false }));
    assertWaits(status, "WaitingForDataMigrationScheduling");
    assert.equal(status.currentSubStateDetails.validationDetails?.status, "Succeeded");
    assert(!(await lab.targetDatabases()).includes(database));
    await assertMigrated(await resource.update({ startDataMigration: true }), resource);
  });

  it("for its migration window, which opens at its time or is moved", async () => {
    const start = new Date(Date.now() + 3600_000).toISOString();
    const resource = new Resource();
    const status = await resource.create(
      lab.inputs([database], { startDataMigration: false, migrationWindowStartTimeInUtc: start }),
    );
    assertWaits(status, "WaitingForDataMigrationWindow");
    const soon = new Date(Date.now() + 1500).toISOString();
    const moved = await resource.update({ migrationWindowStartTimeInUtc: soon, waitFor: "succeeded" });
    assert(Date.now() >= Date.parse(soon));
    await assertMigrated(moved, resource);
  });

  it("no longer after its migration window has closed", async () => {
    const migrationWindowEndTimeInUtc = new Date(Date.now() - 1000).toISOString();
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs([database], { migrationWindowEndTimeInUtc })));
    assert.match(text, /the migration window ended at/);
    await resource.destroy();
  });

  it("for logical replication on the source, which setupLogicalReplication... sets up and a restart completes", async () => {
    const source = await EmbeddedServer.start({ major: 14, parameters: { wal_level: "replica" } });
    try {
      await source.query("CREATE DATABASE plain");
      await source.query(table, { database: "plain" });
      const resource = new Resource();
      const inputs = lab.inputs(["plain"], {
        migrationMode: "Online",
        waitForConfirmation: true,
        source: source.login,
      });
      assertWaits(await resource.create(inputs), "WaitingForLogicalReplicationSetupRequestOnSourceDB");
      const setUp = await resource.update({ setupLogicalReplicationOnSourceDbIfNeeded: true });
      assertWaits(setUp, "WaitingForLogicalReplicationSetupRequestOnSourceDB");
      await until("the message names the remedy", async () => {
        const { message } = (await resource.refresh()).currentSubStateDetails.dbDetails.plain!;
        return /wal_level was replica .* set to logical.*restart the source/s.test(message ?? "");
      });
      await source.restart();
      assert.equal((await resource.update({ waitFor: "cutoverReady" })).state, "WaitingForUserAction");
      await resource.destroy();
    } finally {
      await source.stop();
    }
  });

  it("for an external worker of another attempt, and has not lost the former one", async () => {
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    await lab.target.query("UPDATE pgmigration.migration SET state = 'Failed'");
    const waiting = resource.update({ runner: "external", timeouts: { update: "1s" } });
    assert.match(await Resource.failure(waiting), /no worker runs: start one/);
    const address = { target: resource.inputs.target as Endpoint, maintenanceDatabase: "postgres" };
    const [migration] = await withExistingStore(address, "list", (store) => listMigrations(store!));
    assert.deepEqual([migration?.state, migration?.hadWorker], ["InProgress", false]);
    await resource.destroy();
  });
});
