import assert from "node:assert/strict";
import {
  AzureMigrationFailedError,
  type AzureMigrationStatus,
  type MigrationRequest,
  waitForMigration,
} from "../../../lab-stack/migration/azure-migration-status";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const source = { host: "db.example.com", port: 5433, user: "postgres", network: "public", type: "AWS_RDS" };
const azureKeys = {
  migrateRoles: true,
  setupLogicalReplicationOnSourceDbIfNeeded: true,
  startDataMigration: false,
  migrationWindowStartTimeInUtc: "2030-01-31T22:00:00Z",
  migrationWindowEndTimeInUtc: "2030-01-31T23:00:00Z",
  sourceDbServerFullyQualifiedDomainName: "db.example.com",
  targetDbServerFullyQualifiedDomainName: "10.0.1.4",
  dbsToTriggerCutoverOn: ["crm"],
  dbsToCancelMigrationOn: ["erp"],
};
const migration = { source, databases: ["crm", "erp"], mode: "Online", triggerCutover: true, ...azureKeys };

describe("lab-stack: inputs of the migration", () => {
  let manager: MockedManager;
  let rootCertificate: string;
  before(async () => {
    manager = await MockedManager.start();
    rootCertificate = (await makeVpnCertificates([])).root.certificate;
  });
  after(() => manager.close());

  const declare = (engine: string) =>
    MockedLab.declare(
      { resourceManager: manager.url, vpn: { rootCertificate }, migration: { ...migration, engine } },
      { sourcePassword: "source-secret" },
    );
  const switches = {
    migrateRoles: "True",
    setupLogicalReplicationOnSourceDbIfNeeded: "True",
    startDataMigration: "False",
    triggerCutover: "True",
    overwriteDbsInTarget: "False",
  };

  it("are Azure's properties for Microsoft's service, whose status is an output", async () => {
    const lab = await declare("azure");
    const inputs = lab.the("dbforpostgresql:Migration");
    const expected = { ...azureKeys, ...switches, dbsToMigrate: ["crm", "erp"], sourceType: "AWS_RDS" };
    assert.deepEqual({ ...inputs, ...expected }, inputs);
    assert.equal(inputs.sourceDbServerResourceId, "db.example.com:5433@postgres");
    assert(!lab.declared.some(({ type }) => type.endsWith(":PgMigration")));
    assert.deepEqual(await valueOf(lab.lab.migration!), { state: "Succeeded" });
  });

  it("are the same properties for the embedded engine, with the source's type", async () => {
    const { inputs } = (await declare("embedded")).declared.find(({ type }) => type.endsWith(":PgMigration"))!;
    assert.deepEqual({ ...inputs, ...azureKeys, ...switches, sourceType: "AWS_RDS" }, inputs);
  });
});

describe("lab-stack: waiting for Microsoft's migration service", () => {
  const request: MigrationRequest = {
    name: "lab-migration",
    databases: ["crm", "erp"],
    cancel: false,
    triggerCutover: false,
    dbsToTriggerCutoverOn: undefined,
  };
  const status = (state: string, currentSubState: string, crm: string, erp = crm): AzureMigrationStatus => ({
    state,
    currentSubStateDetails: {
      currentSubState,
      dbDetails: { crm: { migrationState: crm }, erp: { migrationState: erp } },
    },
  });
  const inProgress = status("InProgress", "MigratingData", "InProgress");
  const waiting = status("WaitingForUserAction", "WaitingForCutoverTrigger", "WaitingForCutoverTrigger");
  const succeeded = status("Succeeded", "Completed", "Succeeded");

  async function wait(answers: readonly AzureMigrationStatus[], changes: Partial<MigrationRequest> = {}) {
    const logged: string[] = [];
    const remaining = [...answers];
    const log = (message: string) => logged.push(message);
    const readStatus = () => Promise.resolve(remaining.shift()!);
    const result = await waitForMigration({ ...request, ...changes }, readStatus, { log, intervalMs: 0 });
    assert.deepEqual(remaining, [], "the wait ended too early");
    return { result, logged };
  }

  it("ends when the migration succeeds, and logs each state once", async () => {
    const { result, logged } = await wait([inProgress, inProgress, succeeded]);
    assert.equal(result, succeeded);
    assert.deepEqual(logged, ["migration lab-migration: InProgress (MigratingData)"]);
  });

  it("ends when the migration waits for the user", async () => {
    assert.equal((await wait([inProgress, waiting])).result, waiting);
  });

  it("ignores the state before a cutover", async () => {
    assert.equal((await wait([waiting, inProgress, succeeded], { triggerCutover: true })).result, succeeded);
  });

  it("ends when the selected databases are cut over", async () => {
    const partial = status("WaitingForUserAction", "WaitingForCutoverTrigger", "Succeeded", "WaitingForCutoverTrigger");
    const changes = { triggerCutover: true, dbsToTriggerCutoverOn: ["crm"] };
    assert.equal((await wait([waiting, partial], changes)).result, partial);
  });

  it("ends when a requested cancellation is complete", async () => {
    const canceled = status("Canceled", "Completed", "Canceled");
    assert.equal((await wait([inProgress, canceled], { cancel: true })).result, canceled);
  });

  for (const state of ["Failed", "ValidationFailed", "Canceled"])
    it(`fails if the migration ends as ${state}, with the reasons of the service`, async () => {
      const failed: AzureMigrationStatus = {
        state,
        error: "603000: connection failed",
        currentSubStateDetails: { dbDetails: { crm: { migrationState: "Failed", message: "no route" }, erp: {} } },
      };
      await assert.rejects(wait([inProgress, failed]), (error) => {
        assert(error instanceof AzureMigrationFailedError);
        const first = `migration lab-migration ended as ${state}: 603000: connection failed`;
        const last = "To start another one, set migration.name to a new name.";
        assert.deepEqual(error.message.split("\n"), [first, "  crm: no route", last]);
        return true;
      });
    });
});
