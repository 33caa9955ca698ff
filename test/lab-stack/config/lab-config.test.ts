import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { parseLabConfig, readLabConfig } from "../../../lab-stack/config/lab-config";
import type { RawLabConfig } from "../../../lab-stack/config/lab-schema";
import { failuresOf, resource } from "./failures";

const tenantId = "11111111-2222-4333-8444-555555555555";

/** A configuration that sets every key. Its type makes sure that none is missing. */
const everyKey: Everything<RawLabConfig> = {
  name: "pglab",
  location: "westeurope",
  topology: "private",
  phase: "migrate",
  tags: { owner: "dba" },
  protectData: true,
  addressPlan: {
    virtualNetwork: "10.0.0.0/16",
    server: "10.0.1.0/24",
    privateEndpoints: "10.0.2.0/24",
    runner: "10.0.3.0/24",
    dnsResolver: "10.0.4.0/28",
    source: "10.0.5.0/24",
    gateway: "10.0.255.0/27",
    vpnClients: "172.16.201.0/24",
    onPremises: ["192.168.0.0/16"],
  },
  privateDnsZone: "pglab.private.postgres.database.azure.com",
  server: {
    name: "psql-pglab",
    version: "17",
    administratorLogin: "pgadmin",
    sku: { name: "Standard_D2ds_v5", tier: "GeneralPurpose" },
    migrationSku: { name: "Standard_D8ds_v5", tier: "GeneralPurpose" },
    storageGb: 128,
    sourceSizeGb: 40,
    highAvailability: "SameZone",
    availabilityZone: "1",
    backupRetentionDays: 7,
    entraAdministrator: { objectId: tenantId, principalName: "dba", principalType: "Group", tenantId },
  },
  parameters: { extensions: ["hstore"], isSource: true, more: { work_mem: "4096" }, fromSource: "ignore" },
  firewallRules: [],
  vpn: {
    enabled: true,
    sku: "VpnGw1AZ",
    zones: ["1"],
    authentication: "entra",
    rootCertificate: "MII",
    rootCertificateFile: "root.pem",
    siteToSite: { address: "198.51.100.7" },
    tenantId,
    audience: tenantId,
  },
  connectedElsewhere: false,
  peering: [resource("Microsoft.Network/virtualNetworks/hub")],
  securityGroup: true,
  monitoring: { emails: ["dba@example.com"], workbook: true },
  sourceServer: { size: "Standard_B2s", sshPublicKey: "ssh-ed25519 AAAA lab" },
  migration: {
    engine: "embedded",
    name: "crm",
    source: {
      ...{
        host: "db",
        port: 5432,
        user: "postgres",
        auth: { kind: "entra", credential: "managedIdentity", clientId: tenantId },
      },
      ...{ sslMode: "Prefer", network: "onPremises", type: "OnPremises" },
    },
    databases: ["adventureworks"],
    mode: "Online",
    option: "Migrate",
    overwrite: false,
    triggerCutover: false,
    dbsToTriggerCutoverOn: ["adventureworks"],
    cancel: false,
    dbsToCancelMigrationOn: ["adventureworks"],
    migrateRoles: false,
    setupLogicalReplicationOnSourceDbIfNeeded: false,
    startDataMigration: true,
    migrationWindowStartTimeInUtc: "2030-01-31T22:00:00Z",
    migrationWindowEndTimeInUtc: "2030-01-31T23:00:00Z",
    sourceDbServerFullyQualifiedDomainName: "db.example.com",
    targetDbServerFullyQualifiedDomainName: "10.0.1.4",
    worker: "container",
    runner: {
      image: "example.azurecr.io/pg-migration:1",
      registry: resource("Microsoft.ContainerRegistry/registries/example"),
      registryUser: undefined,
      identity: resource("Microsoft.ManagedIdentity/userAssignedIdentities/id-app"),
      replicas: 2,
      cpu: 2,
      memoryGb: 4,
    },
    targetBy: "name",
    targetSslMode: "Require",
    targetLogin: { user: "id-app", auth: { kind: "entra", credential: "managedIdentity", clientId: tenantId } },
    runtimeServer: resource("Microsoft.DBforPostgreSQL/flexibleServers/runtime"),
  },
  existingServer: resource("Microsoft.DBforPostgreSQL/flexibleServers/old"),
  resourceManager: "https://management.azure.com",
};

type Everything<Config> = {
  [Key in keyof Required<Config>]: Config[Key] extends Plain ? Config[Key] : Everything<NonNullable<Config[Key]>>;
};
type Plain = string | number | boolean | undefined | readonly unknown[];

function leavesOf(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === "" ? key : `${path}.${key}`));
}

function put(target: Record<string, unknown>, [key, ...rest]: string[], value: unknown): void {
  if (rest.length === 0) target[key!] = value;
  else put(target[key!] as Record<string, unknown>, rest, value);
}

describe("lab-stack: configuration", () => {
  it("has a default for every key except the migration's", () => {
    const config = parseLabConfig({}, "dev");
    assert.equal(config.topology, "private");
    assert.equal(config.serverName, "psql-pglab-dev");
    assert.equal(config.zoneName, "pglab-dev.private.postgres.database.azure.com");
    assert.equal(config.vpn.enabled, true);
    assert.equal(parseLabConfig({ topology: "public" }, "dev").vpn.enabled, false);
  });

  it("accepts numbers that `pulumi config set --path` made of strings", () => {
    const { server, tags } = parseLabConfig(
      { server: { version: 16, availabilityZone: 2 }, tags: { number: 7 } },
      "dev",
    );
    assert.deepEqual([server.version, server.availabilityZone, tags.number], ["16", "2", "7"]);
  });

  it("is read from the stack's configuration, without secrets and other projects' keys", () => {
    const read = (values: Record<string, string>) => {
      pulumi.runtime.setAllConfig({ "other:key": "x", "lab:sourcePassword": "secret", ...values });
      return readLabConfig(new pulumi.Config("lab"), "dev");
    };
    assert.equal(read({ "lab:server": '{"storageGb":256}', "lab:protectData": "false" }).server.storageGb, 256);
    assert.throws(
      () => read({ "lab:topologie": "private" }),
      /topologie: unknown key "topologie", did you mean topology/,
    );
  });

  it("accepts a value for every key", () => {
    const { migration, server } = parseLabConfig(everyKey, "dev");
    assert.deepEqual([migration?.name, server.name], ["crm", "psql-pglab"]);
  });

  // Replaces the value of one key at a time.
  for (const path of leavesOf(everyKey)) {
    it(`refuses an object as ${path}, with the key and a rule in our words`, () => {
      const raw = structuredClone(everyKey) as Record<string, unknown>;
      put(raw, path.split("."), { nonsense: true });
      const found = failuresOf(raw)
        .split("\n")
        .find((line) => line.startsWith(`${path}: `) || line.startsWith(`${path}.`));
      assert(found, failuresOf(raw));
      assert.match(found, /: (invalid value|unknown (key|server parameter)) /);
      assert.doesNotMatch(found, /Invalid input|Too (small|big)|another value/);
    });
  }

  it("lists all invalid keys at once", () => {
    const lines = failuresOf({ topology: "both", phase: "walk", server: { version: "9" } }).split("\n");
    assert.deepEqual(
      lines.map((line) => line.split(":")[0]),
      ["topology", "phase", "server.version"],
    );
  });
});
