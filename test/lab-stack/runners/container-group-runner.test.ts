import assert from "node:assert/strict";
import { ContainerGroupRunner, type ContainerGroupRunnerArgs } from "../../../provider/src/runners/container-group";
import { AzureSdk } from "../azure-stand-in/azure-sdk";
import { missing } from "../azure-stand-in/missing-inputs";
import { at, list, type Properties, text } from "../azure-stand-in/properties";
import { resourceId } from "../azure-stand-in/resource-types";
import { type DeclaredResource, declaredBy, the } from "./declared-runner";

const groupType = "containerinstance:ContainerGroup";
const resourceGroup = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers";
const identity = `${resourceGroup}/Microsoft.ManagedIdentity/userAssignedIdentities/id-crm`;
const registry = { id: `${resourceGroup}/Microsoft.ContainerRegistry/registries/example` };
const job = {
  migrationName: "crm",
  source: { host: "db1", user: "reader", password: "source-secret" },
  target: { host: "db2", user: "azureadmin", password: "target-secret" },
};
const usual: ContainerGroupRunnerArgs = {
  ...{ image: "example.azurecr.io/pg-migration:0.1.0", job, resourceGroupName: "rg", location: "westeurope" },
  subnetId: `${resourceGroup}/Microsoft.Network/virtualNetworks/vnet/subnets/runner`,
};
const ofPool: Partial<ContainerGroupRunnerArgs> = {
  job: undefined,
  pool: { targets: [{ host: "db1", user: "azureadmin" }], passfile: "*:*:*:*:pool-secret", maxMigrations: 8 },
};
const declare = (changes: Partial<ContainerGroupRunnerArgs> = {}): Promise<DeclaredResource[]> =>
  declaredBy(() => new ContainerGroupRunner("crm", { ...usual, ...changes }));

/** The texts of the mounted files. */
const filesOf = (inputs: Properties): Record<string, string> =>
  Object.fromEntries(
    Object.entries(at(inputs, "volumes.0.secret") as Readonly<Record<string, string>>).map(([name, content]) => [
      name,
      Buffer.from(content, "base64").toString(),
    ]),
  );

describe("ContainerGroupRunner", () => {
  const sdk = new AzureSdk();
  const variants: Record<string, Partial<ContainerGroupRunnerArgs>> = {
    "one migration": { registry, identity },
    "a pool": { ...ofPool, replicas: 2, registry, identity },
    "a pool without files": { ...ofPool, pool: { targets: "azure:" } },
    "another registry": { ...ofPool, registry: { username: "reader", password: "pull-secret" } },
  };
  for (const [what, changes] of Object.entries(variants)) {
    it(`matches Microsoft's SDK (${what})`, async () => {
      const groups = (await declare(changes)).filter(({ type }) => type.endsWith(groupType));
      assert.equal(groups.length, changes.replicas ?? 1);
      for (const { inputs } of groups) {
        const request = await sdk.creating(groupType, inputs);
        const { resourceGroupName: _group, containerGroupName: _name, identity: given, ...body } = inputs;
        assert.deepEqual(missing(body, request!.body), [], "the SDK does not know these inputs");
        // The SDK sends identities as an object. azure-native makes it from the list.
        if (given) assert.equal(text(given, "type"), "UserAssigned");
        assert.equal(request!.path, resourceId(groupType, inputs));
      }
    });
  }

  it("detects an input that the SDK does not know", async () => {
    const { inputs } = the(await declare(ofPool), groupType);
    const wrong = { ...inputs, volumes: [{ name: "secrets", secrets: { pgpass: "bm9uZQ==" } }] };
    const request = await sdk.creating(groupType, wrong);
    assert.deepEqual(missing({ volumes: wrong.volumes }, request!.body), ["volumes.0.secrets.pgpass = bm9uZQ=="]);
  });

  it("mounts the job as a file, and keeps its worker until the migration is deleted", async () => {
    const { inputs, secrets } = the(await declare(), groupType);
    assert.equal(inputs.restartPolicy, "OnFailure");
    assert.deepEqual(list(inputs, "containers.0.command").slice(-2), ["worker", "--stay"]);
    assert.deepEqual(JSON.parse(filesOf(inputs)["job.json"]!), job);
    assert.deepEqual(at(inputs, "containers.0.environmentVariables.0"), {
      ...{ name: "PG_MIGRATION_JOB_FILE", value: "/run/pg-migration/job.json" },
    });
    assert(secrets.includes("volumes"), "the files are not a secret");
  });

  it("runs each pool process in a container group, with targets and passwords as files", async () => {
    const groups = (await declare({ ...ofPool, replicas: 2 })).filter(({ type }) => type.endsWith(groupType));
    assert.deepEqual(
      groups.map(({ inputs }) => inputs.containerGroupName),
      ["ci-crm-1", "ci-crm-2"],
    );
    for (const { inputs, secrets } of groups) {
      assert.equal(inputs.restartPolicy, "Always");
      assert.deepEqual(list(inputs, "containers.0.command").slice(3), [
        ...["--pool", "--targets", "/run/pg-migration/targets.json", "--max-migrations", "8"],
      ]);
      assert.deepEqual(filesOf(inputs), {
        "targets.json": '[{"host":"db1","user":"azureadmin"}]',
        pgpass: "*:*:*:*:pool-secret",
      });
      assert.deepEqual(at(inputs, "containers.0.volumeMounts"), [
        { name: "secrets", mountPath: "/run/pg-migration", readOnly: true },
      ]);
      assert(secrets.includes("volumes"), "the files are not a secret");
    }
  });

  it("mounts no volume for a pool that queries its targets with an identity", async () => {
    const pool = {
      targets: "azure:" as const,
      auth: { kind: "entra" as const, clientId: "00000000-0000-0000-0000-000000000009" },
    };
    const { inputs } = the(await declare({ ...ofPool, pool, identity }), groupType);
    assert.deepEqual([inputs.volumes, at(inputs, "containers.0.volumeMounts")], [[], []]);
    assert.deepEqual(at(inputs, "identity.userAssignedIdentities"), [identity]);
  });

  it("has passwords only in the files and in the registry's credentials", async () => {
    const pulling = { username: "reader", password: "pull-secret" };
    for (const changes of [{}, ofPool]) {
      const { inputs, secrets } = the(await declare({ ...changes, registry: pulling }), groupType);
      const { volumes: _files, imageRegistryCredentials: _credentials, ...others } = inputs;
      assert.doesNotMatch(JSON.stringify(others), /-secret/);
      assert(secrets.includes("volumes"));
    }
  });

  it("names every invalid property", async () => {
    const wrong: [Partial<ContainerGroupRunnerArgs>, RegExp][] = [
      [{ image: "no image" }, /^image: expected registry/m],
      [{ job: undefined }, /^job: is missing: give job for one migration, or pool/m],
      [{ pool: ofPool.pool }, /^pool: job is also given/m],
      [{ ...ofPool, pool: { targets: [] } }, /^pool\.targets: expected a list with at least one target/m],
      [{ ...ofPool, pool: { ...ofPool.pool!, maxMigrations: 0 } }, /^pool\.maxMigrations: /m],
    ];
    for (const [changes, message] of wrong)
      await declaredBy(() =>
        assert.throws(() => new ContainerGroupRunner("crm", { ...usual, ...changes }), {
          ...{ name: "InvalidInputError", message },
        }),
      );
  });
});
