import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { registryOf } from "../../../provider/src/runners/azure-registry";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { at, list, type Properties, text } from "../azure-stand-in/properties";
import { MockedLab, valueOf } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const groupType = "containerinstance:ContainerGroup";
const registry =
  "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/images/providers/Microsoft.ContainerRegistry/registries/example";
const image = "example.azurecr.io/pg-migration:0.1.0";

describe("lab-stack: the migration's runner", () => {
  let manager: MockedManager;
  let rootCertificate: string;
  before(async () => {
    manager = await MockedManager.start();
    rootCertificate = (await makeVpnCertificates([])).root.certificate;
  });
  after(() => manager.close());

  const secrets = {
    sourcePassword: "source-secret",
    administratorPassword: "Given-Passw0rd",
    registryPassword: "pull-secret",
  };
  const declare = (runner: object, changes: object = {}): Promise<MockedLab> => {
    const { source, targetLogin, ...rest } = { source: {}, ...changes } as { source?: object; targetLogin?: object };
    const migration = {
      source: { host: "192.168.1.10", user: "postgres", ...source },
      databases: ["adventureworks"],
      ...(targetLogin && { targetLogin }),
      worker: "container",
      runner: { image, ...runner },
    };
    const vpn = { rootCertificate, ...("topology" in rest && { enabled: false }) };
    return MockedLab.declare({ resourceManager: manager.url, vpn, migration, ...rest }, secrets);
  };

  /** The job of the worker. Pulumi wraps a property that contains a secret. */
  const jobOf = (group: Properties): Properties => {
    const files = at(group, "volumes.value.0.secret") as Readonly<Record<string, string>>;
    return JSON.parse(Buffer.from(files["job.json"]!, "base64").toString()) as Properties;
  };

  it("has a subnet that is delegated to container groups and has a NAT gateway", async () => {
    const lab = await declare({});
    const subnet = lab.all("network:Subnet").find(({ subnetName }) => subnetName === "snet-pglab-dev-runner");
    assert.equal(at(subnet, "delegations.0.serviceName"), "Microsoft.ContainerInstance/containerGroups");
    assert.equal(at(subnet, "natGateway.id"), "/ids/ng-pglab-dev-runner");
    const gateway = lab.the("network:NatGateway");
    assert.deepEqual(gateway.sku, { name: "Standard" });
    assert.deepEqual(gateway.publicIpAddresses, [{ id: "/ids/pip-pglab-dev-runner" }]);
    assert.deepEqual(lab.the(groupType).subnetIds, [{ id: "/ids/snet-pglab-dev-runner" }]);
  });

  it("passes the job as a secret, and restarts a process that fails", async () => {
    const lab = await declare({});
    const group = lab.the(groupType);
    assert.equal(group.restartPolicy, "OnFailure");
    assert.equal(group.osType, "Linux");
    const [container] = list(group, "containers");
    assert.equal(text(container, "image"), image);
    assert.deepEqual(at(container, "resources.requests"), { cpu: 2, memoryInGB: 4 });
    assert(pulumi.runtime.isRpcSecret(group.volumes), "the files are not a secret");
    assert.deepEqual(jobOf(group), {
      migrationName: "lab-migration",
      source: { host: "192.168.1.10", port: 5432, user: "postgres", sslMode: "Prefer", password: "source-secret" },
      target: {
        host: "psql.postgres.database.azure.com",
        user: "pgadmin",
        password: "Given-Passw0rd",
        sslMode: "Require",
      },
    });
  });

  it("is created before the migration, which waits for one of its workers", async () => {
    const lab = await declare({});
    const names = lab.declared.map(({ type }) => type);
    const migration = lab.declared.find(({ type }) => type.endsWith(":PgMigration"))!;
    assert.equal(migration.inputs.runner, "external");
    assert(names.indexOf(`azure-native:${groupType}`) < names.indexOf(migration.type));
    assert.deepEqual((await valueOf(lab.lab.source)).pgHba, ["host all postgres 10.0.3.0/24 scram-sha-256"]);
  });

  it("has a container for each replica, with the same job", async () => {
    const lab = await declare({ replicas: 3 });
    const groups = lab.all(groupType);
    assert.deepEqual(
      groups.map(({ containerGroupName }) => containerGroupName),
      ["ci-pglab-dev-runner-1", "ci-pglab-dev-runner-2", "ci-pglab-dev-runner-3"],
    );
    assert.equal(new Set(groups.map((group) => JSON.stringify(jobOf(group)))).size, 1);
  });

  it("pulls from an Azure registry with an identity that has the role AcrPull", async () => {
    const lab = await declare({ registry });
    const identity = "/ids/id-pglab-dev-runner";
    const group = lab.the(groupType);
    assert.deepEqual(group.identity, { type: "UserAssigned", userAssignedIdentities: [identity] });
    assert.deepEqual(group.imageRegistryCredentials, [{ server: "example.azurecr.io", identity }]);
    const grant = lab.the("authorization:RoleAssignment");
    assert.equal(grant.scope, registry);
    assert.equal(grant.principalId, "a principal");
    assert.equal(
      grant.roleDefinitionId,
      "/subscriptions/00000000-0000-0000-0000-000000000002/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-460d-a680-43fe172d538d",
    );
    const order = lab.declared.map(({ type }) => type);
    assert(order.indexOf("azure-native:authorization:RoleAssignment") < order.indexOf(`azure-native:${groupType}`));
  });

  it("has a managed identity for tokens, and then no password in its job", async () => {
    const identity =
      "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-app";
    const auth = { kind: "entra", credential: "managedIdentity", clientId: "00000000-0000-0000-0000-000000000009" };
    const source = { auth, sslMode: "Require" };
    const lab = await declare({ registry, identity }, { source, targetLogin: { user: "id-app", auth } });
    const group = lab.the(groupType);
    assert.deepEqual(at(group, "identity.userAssignedIdentities"), ["/ids/id-pglab-dev-runner", identity]);
    const job = jobOf(group);
    assert.deepEqual([at(job, "source.auth"), at(job, "target.auth"), at(job, "target.user")], [auth, auth, "id-app"]);
    assert.doesNotMatch(JSON.stringify(job), /password/i);
  });

  it("pulls from another registry with a secret password", async () => {
    const lab = await declare({ image: "ghcr.io/example/pg-migration:0.1.0", registryUser: "reader" });
    const { imageRegistryCredentials } = lab.the(groupType);
    assert(pulumi.runtime.isRpcSecret(imageRegistryCredentials));
    assert.deepEqual(at(imageRegistryCredentials, "value"), [
      { server: "ghcr.io", username: "reader", password: "pull-secret" },
    ]);
    assert(!lab.has("managedidentity:UserAssignedIdentity"));
  });

  it("connects to public servers from the address of its NAT gateway", async () => {
    const firewallRules = [{ name: "office", start: "198.51.100.7", end: "198.51.100.7" }];
    const lab = await declare({}, { topology: "public", firewallRules, source: { network: "public" } });
    const rules = lab.all("dbforpostgresql:FirewallRule").map((rule) => [rule.firewallRuleName, rule.startIpAddress]);
    assert.deepEqual(rules, [
      ["office", "198.51.100.7"],
      ["migration-runner", "203.0.113.10"],
    ]);
    assert.deepEqual((await valueOf(lab.lab.source)).pgHba, ["host all postgres 203.0.113.10/32 scram-sha-256"]);
  });

  it("is removed in phase run, together with its NAT gateway", async () => {
    const lab = await declare({}, { phase: "run" });
    for (const absent of [groupType, "network:NatGateway"]) assert(!lab.has(absent), absent);
  });

  it("reads the registry from the name of an image", () => {
    const registries = ["example.azurecr.io/a:1", "localhost:5000/a/b:1", "example/a:1", "a:1"].map(registryOf);
    assert.deepEqual(registries, ["example.azurecr.io", "localhost:5000", "index.docker.io", "index.docker.io"]);
  });
});
