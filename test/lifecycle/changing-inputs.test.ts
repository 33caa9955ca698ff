import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { unknownValue } from "../../provider/dist/inputs/unknown-value.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** The rows of docs/changing-inputs.md. */
describe("inputs that change", () => {
  let lab: Lab;
  let resource: Resource;
  let database: string;

  before(async () => {
    lab = await Lab.start();
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    resource = new Resource();
    await resource.create(lab.inputs([database]));
  });

  after(async () => {
    await resource.destroy();
    await lab.stop();
  });

  const server = { host: "other.example.com" };
  const replacing: readonly [string, Record<string, unknown>][] = [
    ["migrationName", { migrationName: "another" }],
    ["migrationMode", { migrationMode: "Online" }],
    ["source", { source: { ...server, user: "u", password: "p" } }],
    ["target", { target: { ...server, user: "u", password: "p" } }],
    ["maintenanceDatabase", { maintenanceDatabase: "records" }],
  ];
  for (const [property, change] of replacing)
    it(`${property} of a finished migration replaces it, and deletes the old record first`, async () => {
      const answer = await resource.diff(change);
      assert.deepEqual(answer, { changes: true, replaces: [property], deleteBeforeReplace: true });
    });

  const updating: readonly Record<string, unknown>[] = [
    // A replacement would migrate again and overwrite data that applications wrote since then.
    { dbsToMigrate: ["another"] },
    { tableJobs: 8 },
    { indexJobs: 8 },
    { maxCopyRate: "50MB" },
    { maxReplicaLag: "30s" },
    { schemaChanges: "pause" },
    { applySessions: 2 },
    { workers: 2 },
    { verification: "counts" },
    { overwriteDbsInTarget: true },
    { tags: { a: "b" } },
    { sequenceMargin: 5 },
    { cutoverVerificationBudget: "10m" },
    { maxRetainedWal: "10GB" },
    { onMaxRetainedWal: "cancel" },
    { decodingPlugin: "test_decoding" },
    { sourceType: "AWS_RDS" },
    { runner: "external" },
    { webhook: { url: "https://hooks.example/token" } },
    { engineVersion: "99.0.0" },
  ];
  for (const change of updating)
    it(`${Object.keys(change).join()} updates in place`, async () => {
      assert.deepEqual(await resource.diff(change), { changes: true });
    });

  it("credentials update in place, and so does another spelling of the same server", async () => {
    const { source } = resource.inputs as { source: Record<string, unknown> };
    assert.deepEqual(await resource.diff({ source: { ...source, password: "rotated" } }), { changes: true });
    const { host, port, user, password } = lab.source.login;
    const arm = {
      source: undefined,
      sourceDbServerResourceId: `${host}:${port}@${user}`,
      secretParameters: { adminCredentials: { sourceServerPassword: password } },
    };
    assert.deepEqual(await resource.diff(arm), { changes: true });
  });

  for (const change of [{ timeouts: { create: "1h" } }, { waitFor: "started" }, { resourceUrn: "urn:other" }])
    it(`${Object.keys(change).join()} is no change`, async () => {
      assert.deepEqual(await resource.diff(change), { changes: false });
    });

  it("inputs that determine what is copied are refused during replication, in the preview and in the update", async () => {
    const databases = [await lab.database("CREATE TABLE t (id int PRIMARY KEY)"), await lab.database("")];
    const online = new Resource();
    await online.create(lab.inputs(databases, { migrationMode: "Online" }));
    const changes: Record<string, unknown> = {
      include: { tables: ["t"] },
      exclude: { tables: ["t"] },
      dataOnly: true,
      keylessTables: "full",
      migrateRoles: true,
      migrationOption: "Validate",
    };
    for (const [name, value] of Object.entries(changes)) {
      const change = { ...online.inputs, [name]: value };
      assert.match((await online.failures(change)).join(), new RegExp(`^${name}: it determines what is copied`));
      await assert.rejects(
        lifecycle.update(online.outputs, change, () => undefined),
        new RegExp(`${name} of m-\\w+ cannot change: it determines what is copied`),
      );
    }
    const one = { ...online.inputs, dbsToMigrate: databases.slice(0, 1) };
    assert.match((await online.failures(one)).join(), /^dbsToMigrate: db_\w+ is replicated; list it in dbsToCancel/);
    assert.deepEqual(await online.failures({ ...online.inputs, splitTablesLargerThan: "1GB" }), []);
    const { pid } = online.status.worker;
    await online.update({ reconnectFor: "20m" });
    assert.notEqual(online.status.worker.pid, pid, "a new worker takes over");
    await online.destroy();
  });

  it("inputs that determine what is copied update in place before the copy", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    const waiting = new Resource();
    await waiting.create(lab.inputs([database], { startDataMigration: false }));
    await waiting.update({ exclude: { tables: ["u"] }, startDataMigration: true });
    const tables = await lab.target.query("SELECT FROM pg_tables WHERE schemaname = 'public'", { database });
    assert.deepEqual([waiting.status.state, tables.length], ["Succeeded", 1]);
    await waiting.destroy();
  });

  it("a server that a preview does not know yet may be another one, which would replace the migration", async () => {
    resource.notes.length = 0;
    const source = { ...lab.source.login, password: unknownValue };
    assert.equal((await resource.diff({ source })).replaces, undefined);
    assert.deepEqual(resource.notes, []);
    assert.equal((await resource.diff({ source: { ...source, host: unknownValue } })).replaces, undefined);
    assert.match(resource.notes.join(), /^this preview does not know source yet.*replaces the migration/);
  });

  it("cutover and cancel of a succeeded migration are refused, and so is withdrawing a cutover", async () => {
    assert.match((await resource.failures({ ...resource.inputs, triggerCutover: true })).join(), /603114/);
    assert.match((await resource.failures({ ...resource.inputs, cancel: true })).join(), /^cancel: .*has succeeded/);
    const online = new Resource();
    await online.create(lab.inputs([await lab.database("")], { migrationMode: "Online", triggerCutover: true }));
    const taken = await online.failures({ ...online.inputs, triggerCutover: false });
    assert.match(taken.join(), /^triggerCutover: 603113: the cutover is complete/);
    await online.destroy();
  });
});
