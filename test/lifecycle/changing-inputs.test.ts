import assert from "node:assert/strict";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** docs/changing-inputs.md, line by line. */
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
    it(`${property} of a finished migration replaces it, the old record going first`, async () => {
      const answer = await resource.diff(change);
      assert.deepEqual(answer, { changes: true, replaces: [property], deleteBeforeReplace: true });
    });

  const updating: readonly Record<string, unknown>[] = [
    // A replacement would migrate again, over what has been written since, what is in use by now.
    { dbsToMigrate: ["another"] },
    { tableJobs: 8 },
    { indexJobs: 8 },
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

  it("cutover and cancel of a migration that has succeeded are refused, and so is taking a cutover back", async () => {
    assert.match((await resource.failures({ ...resource.inputs, triggerCutover: true })).join(), /603114/);
    assert.match((await resource.failures({ ...resource.inputs, cancel: true })).join(), /^cancel: .*has succeeded/);
    const online = new Resource();
    await online.create(lab.inputs([await lab.database("")], { migrationMode: "Online", triggerCutover: true }));
    const taken = await online.failures({ ...online.inputs, triggerCutover: false });
    assert.match(taken.join(), /^triggerCutover: 603113: the cutover has been done/);
    await online.destroy();
  });
});
