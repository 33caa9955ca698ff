import assert from "node:assert/strict";
import { ContainerAppsRunner, type ContainerAppsRunnerArgs } from "../../../provider/src/runners/container-apps";
import { AzureSdk } from "../azure-stand-in/azure-sdk";
import { missing } from "../azure-stand-in/missing-inputs";
import { at, list, text } from "../azure-stand-in/properties";
import { requiredInputs, resourceId, resourceTypes } from "../azure-stand-in/resource-types";
import { type DeclaredResource, declaredBy, the } from "./declared-runner";

const group = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers";
const identity = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/id-crm`;
const registry = { id: `${group}/Microsoft.ContainerRegistry/registries/example` };
const job = {
  migrationName: "crm",
  source: { host: "db1", user: "reader", password: "source-secret" },
  target: { host: "db2", user: "azureadmin", password: "target-secret" },
};
const keyVaultPasswords = { source: "https://example.vault.azure.net/secrets/crm-source" };
const usual: ContainerAppsRunnerArgs = {
  ...{ image: "example.azurecr.io/pg-migration:0.1.0", job, migrationMode: "Offline", replicas: 4 },
  ...{ resourceGroupName: "rg", location: "westeurope" },
  environment: { subnetId: `${group}/Microsoft.Network/virtualNetworks/vnet/subnets/apps` },
};
const ofPool: Partial<ContainerAppsRunnerArgs> = {
  ...{ job: undefined, migrationMode: undefined, replicas: 3 },
  pool: { targets: [{ host: "db1", user: "azureadmin" }], passfile: "*:*:*:*:pool-secret", maxMigrations: 8 },
};
const declare = (changes: Partial<ContainerAppsRunnerArgs> = {}): Promise<DeclaredResource[]> =>
  declaredBy(() => new ContainerAppsRunner("crm", { ...usual, ...changes }));

describe("ContainerAppsRunner", () => {
  const sdk = new AzureSdk();
  const variants: Record<string, Partial<ContainerAppsRunnerArgs>> = {
    "offline: a job": { registry, identity, keyVaultPasswords },
    "online: an app": { migrationMode: "Online", replicas: 1, registry },
    "a pool: an app": { ...ofPool, registry },
    "a pool without files": { ...ofPool, pool: { targets: "azure:" }, registry },
    "another registry": { registry: { username: "reader", password: "pull-secret" } },
  };
  for (const [what, changes] of Object.entries(variants)) {
    it(`matches Microsoft's SDK (${what})`, async () => {
      let compared = 0;
      for (const { type, inputs } of await declare(changes)) {
        const token = type.replace("azure-native:", "");
        if (!token.startsWith("app:")) continue;
        const request = await sdk.creating(token, inputs);
        const names = new Set(requiredInputs(token).filter((name) => !resourceTypes[token]!.required.includes(name)));
        const body = Object.fromEntries(Object.entries(inputs).filter(([key]) => !names.has(key)));
        // The SDK sends identities as an object; azure-native makes it from the list.
        const { identity: given, ...others } = body;
        assert.deepEqual(missing(others, request!.body), [], `${type}: the SDK does not know these inputs`);
        if (given) assert.equal(text(given, "type"), "UserAssigned");
        assert.equal(request!.path, resourceId(token, inputs));
        compared++;
      }
      assert.equal(compared, 2);
    });
  }

  it("detects an input that the SDK does not know", async () => {
    const wrong = { ...the(await declare(), "app:Job").inputs, template: { contaners: [{ name: "worker" }] } };
    const request = await sdk.creating("app:Job", wrong);
    assert.deepEqual(missing(wrong.template, at(request!.body, "properties.template")), ["contaners.0.name = worker"]);
  });

  it("shares an offline copy among the replicas of a job, which Pulumi starts", async () => {
    const declared = await declare();
    const { configuration, template } = the(declared, "app:Job").inputs;
    assert.deepEqual(at(configuration, "manualTriggerConfig"), { parallelism: 4, replicaCompletionCount: 4 });
    assert.equal(at(configuration, "replicaTimeout"), 604_800);
    assert.deepEqual(at(template, "containers.0.args"), ["--wait"]);
    const start = the(declared, ":dynamic:Resource");
    const { method, path } = await sdk.startingJob("rg", "crm");
    assert.equal(method, "POST");
    assert.match(path, /\/providers\/Microsoft\.App\/jobs\/crm\/start$/);
    assert.equal(start.inputs.url, "https://management.azure.com/ids/job-crm/start?api-version=2025-01-01");
    assert(start.secrets.includes("token"), "the token is not a secret");
  });

  it("runs an online migration in an app without ingress, with probes, and never scales it to zero", async () => {
    const { configuration, template } = the(
      await declare({ migrationMode: "Online", replicas: 1 }),
      "app:ContainerApp",
    ).inputs;
    assert.equal(at(configuration, "ingress"), undefined);
    assert.deepEqual(at(template, "scale"), { minReplicas: 1, maxReplicas: 1 });
    assert.deepEqual(at(template, "containers.0.args"), ["--stay"]);
    const probes = list(template, "containers.0.probes").map((probe) => [
      text(probe, "type"),
      text(probe, "httpGet.path"),
    ]);
    assert.deepEqual(probes, [
      ["Liveness", "/healthz"],
      ["Readiness", "/readyz"],
    ]);
  });

  it("runs a pool in an app, with its targets and passwords as files", async () => {
    const { inputs, secrets } = the(await declare(ofPool), "app:ContainerApp");
    const { configuration, template } = inputs;
    assert.deepEqual(at(template, "scale"), { minReplicas: 3, maxReplicas: 3 });
    assert.equal(at(template, "terminationGracePeriodSeconds"), 60);
    assert.deepEqual(at(template, "containers.0.args"), [
      ...["--pool", "--targets", "/run/pg-migration/targets.json", "--max-migrations", "8"],
    ]);
    assert.deepEqual(at(template, "volumes.0.secrets"), [
      { secretRef: "targets", path: "targets.json" },
      { secretRef: "pgpass", path: "pgpass" },
    ]);
    assert.equal(at(configuration, "secrets.0.value"), '[{"host":"db1","user":"azureadmin"}]');
    assert(secrets.includes("configuration"), "the configuration is not a secret");
    assert.doesNotMatch(JSON.stringify(template), /pool-secret/);
  });

  it("sends only the referenced passwords if the pool also has some", async () => {
    const passfile = "https://example.vault.azure.net/secrets/fleet";
    const { inputs } = the(await declare({ ...ofPool, identity, keyVaultPasswords: { passfile } }), "app:ContainerApp");
    assert.deepEqual(
      list(inputs, "configuration.secrets").map((one) => text(one, "name")),
      ["targets", "pgpass"],
    );
    assert.equal(text(inputs, "configuration.secrets.1.keyVaultUrl"), passfile);
    assert.doesNotMatch(JSON.stringify(inputs), /pool-secret/);
  });

  it("mounts no volume without files, because that would have the registry's password", async () => {
    const { inputs } = the(
      await declare({
        ...ofPool,
        pool: { targets: "azure:", auth: { kind: "entra" } },
        registry: { username: "reader", password: "pull-secret" },
      }),
      "app:ContainerApp",
    );
    assert.deepEqual(at(inputs, "template.volumes"), []);
    assert.deepEqual(at(inputs, "template.containers.0.volumeMounts"), []);
  });

  it("needs no identity for keyVaultPasswords without a URL", async () => {
    const declared = await declare({ keyVaultPasswords: { source: undefined } });
    assert.match(JSON.stringify(the(declared, "app:Job").inputs), /source-secret/);
  });

  it("starts another revision of a pool when its targets change", async () => {
    const other = { ...ofPool, pool: { ...ofPool.pool!, targets: [{ host: "db2" }] } };
    const [first, second] = [await declare(ofPool), await declare(other)].map((one) => the(one, "app:ContainerApp"));
    assert.notDeepEqual(first!.inputs.template, second!.inputs.template);
  });

  it("has passwords only in secrets and references", async () => {
    const declared = await declare({
      identity,
      keyVaultPasswords,
      registry: { username: "reader", password: "pull-secret" },
    });
    const { inputs, secrets } = the(declared, "app:Job");
    assert(secrets.includes("configuration"), "the configuration is not a secret");
    assert.doesNotMatch(JSON.stringify(inputs), /source-secret/, "the vault has this password");
    const { secrets: stored, ...configuration } = inputs.configuration as { secrets: unknown };
    assert.doesNotMatch(JSON.stringify({ ...inputs, configuration }), /target-secret|pull-secret/);
    assert.deepEqual(at(stored, "1"), { name: "source-password", keyVaultUrl: keyVaultPasswords.source, identity });
    assert.deepEqual(at(inputs, "template.volumes.0.secrets"), [
      { secretRef: "job", path: "job.json" },
      { secretRef: "source-password", path: "source-password" },
    ]);
    assert.deepEqual(
      list(inputs, "template.containers.0.env").map((one) => text(one, "name")),
      ["PG_MIGRATION_JOB_FILE", "PG_MIGRATION_HTTP", "PG_MIGRATION_LOG_FORMAT"],
    );
  });

  it("creates an environment in the network, whose logs go to Log Analytics, or uses an existing one", async () => {
    const declared = await declare();
    const { inputs, secrets } = the(declared, ":ManagedEnvironment");
    assert.deepEqual(inputs.vnetConfiguration, {
      infrastructureSubnetId: at(usual.environment, "subnetId"),
      internal: true,
    });
    assert.equal(at(inputs, "appLogsConfiguration.destination"), "log-analytics");
    assert(secrets.includes("appLogsConfiguration"), "the workspace's key is not a secret");
    const existing = await declare({ environment: { id: "/environments/shared" } });
    assert(!existing.some(({ type }) => type.endsWith(":ManagedEnvironment")));
    assert.equal(the(existing, "app:Job").inputs.environmentId, "/environments/shared");
  });

  it("pulls with an identity that has the role AcrPull", async () => {
    const declared = await declare({ registry, identity });
    assert.equal(the(declared, ":RoleAssignment").inputs.scope, registry.id);
    const { inputs } = the(declared, "app:Job");
    assert.deepEqual(at(inputs, "identity.userAssignedIdentities"), ["/ids/id-crm", identity]);
    assert.deepEqual(at(inputs, "configuration.registries"), [
      { server: "example.azurecr.io", identity: "/ids/id-crm" },
    ]);
  });

  it("names every invalid property", async () => {
    const wrong: [Partial<ContainerAppsRunnerArgs>, RegExp][] = [
      [{ cpu: 1, memoryGb: 4 }, /^memoryGb: expected twice as many GiB as vCPUs/m],
      [{ cpu: 8, memoryGb: 16 }, /^cpu: .*\nmemoryGb: /m],
      [
        { keyVaultPasswords: { source: "crm-source" }, identity },
        /^keyVaultPasswords\.source: expected the URL of a secret/m,
      ],
      [{ keyVaultPasswords }, /^identity: keyVaultPasswords needs a managed identity/m],
      [{ replicaTimeoutSeconds: 1 }, /^replicaTimeoutSeconds: /m],
      [{ resourceManager: "management" }, /^resourceManager: /m],
      [
        { ...ofPool, attempt: 2, replicaTimeoutSeconds: 60 },
        /^attempt: a pool never ends: remove it\nreplicaTimeoutSeconds: a pool never ends/m,
      ],
      [{ pool: ofPool.pool }, /^pool: job is also given/m],
      [{ ...ofPool, identity, keyVaultPasswords }, /^keyVaultPasswords\.source: a pool has many servers/m],
    ];
    for (const [changes, message] of wrong)
      await declaredBy(() =>
        assert.throws(() => new ContainerAppsRunner("crm", { ...usual, ...changes }), {
          name: "InvalidInputError",
          message,
        }),
      );
  });
});
