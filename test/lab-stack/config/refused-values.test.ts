import assert from "node:assert/strict";
import { parseLabConfig } from "../../../lab-stack/config/lab-config";
import { knownParameters } from "../../../lab-stack/config/known-parameters";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { failuresOf, migration, resource } from "./failures";

type Cases = readonly (readonly [what: string, raw: unknown, failure: RegExp, stack?: string])[];

function refuses(cases: Cases): void {
  for (const [what, raw, failure, stack] of cases)
    it(`refuses ${what}`, () => assert.match(failuresOf(raw, stack), failure));
}

const firewallRule = (name: string, start: string, end = start) => ({ name, start, end });
const sku = (name: string, tier: string) => ({ server: { sku: { name, tier }, highAvailability: "Disabled" } });
const parameters = (more: object, others: object = {}) => ({ parameters: { more, ...others } });
const migrating = (changes: object) => ({ migration: { ...migration, ...changes } });
const container = (runner: object, changes: object = {}) => migrating({ worker: "container", runner, ...changes });
const azure = (changes: object) => migrating({ engine: "azure", ...changes });

describe("lab-stack: values that the configuration refuses", () => {
  describe("keys and types", () => {
    refuses([
      ["an unknown key", { topologie: "private" }, /^topologie: unknown key "topologie", did you mean topology\?$/],
      [
        "each of two unknown keys of an object",
        { server: { versoin: "17", colour: "red" } },
        /^server\.versoin: unknown key "versoin", did you mean version\?\nserver\.colour: unknown key "colour"$/,
      ],
      [
        "an unknown choice",
        { topology: "both" },
        /^topology: invalid value "both", expected one of private, public, privateEndpoint$/,
      ],
      [
        "another word than true or false",
        { protectData: "perhaps" },
        /^protectData: .*"perhaps", expected true or false$/,
      ],
      [
        "a number that is too small",
        { server: { backupRetentionDays: 3 } },
        /^server\.backupRetentionDays: .*at least 7$/,
      ],
      [
        "a number that is too large",
        { server: { backupRetentionDays: 99 } },
        /^server\.backupRetentionDays: .*at most 35$/,
      ],
      [
        "a fraction",
        { server: { backupRetentionDays: 7.5 } },
        /^server\.backupRetentionDays: .*expected a whole number$/,
      ],
      [
        "a missing value",
        { migration: { source: { user: "postgres" }, databases: ["a"] } },
        /^migration\.source\.host: is missing, expected a string$/,
      ],
      [
        "an empty text",
        migrating({ databases: [""] }),
        /^migration\.databases\.0: .*expected a text that is not empty$/,
      ],
      ["a text instead of a list", migrating({ databases: "a" }), /^migration\.databases: .*expected a list$/],
    ]);
  });

  describe("lab", () => {
    refuses([
      ["a long name", { name: "a-name-that-is-much-too-long" }, /^name: .*expected 3 to 20 lower-case letters/],
      ["a location with a space", { location: "Mars Central" }, /^location: .*such as westeurope, see az account/],
      ["characters that Azure refuses in tags", { tags: { "a<b": "c" } }, /^tags\.a<b: .*without < > % & \\ \? \/$/],
      ["a reserved tag", { tags: { "azure-owner": "c" } }, /^tags\.azure-owner: Azure reserves tags/],
      ["a long tag", { tags: { owner: "c".repeat(257) } }, /^tags\.owner: .*at most 256 characters/],
    ]);
  });

  describe("server", () => {
    refuses([
      [
        "a stack whose name is invalid in a server's name",
        { server: {} },
        /^server\.name: is missing, .* expected 3 to 63 lower-case/m,
        "Dev_1",
      ],
      ["a compute size of another tier", sku("Standard_D2ds_v5", "Burstable"), /^server\.sku\.tier: .* GeneralPurpose/],
      ["an unknown compute size", sku("HugeServer", "GeneralPurpose"), /^server\.sku\.name: .* such as Standard_B2s/],
      [
        "a zone that does not exist",
        { server: { availabilityZone: "7" } },
        /^server\.availabilityZone: .*one of 1, 2, 3$/,
      ],
      [
        "a reserved administrator",
        { server: { administratorLogin: "root" } },
        /^server\.administratorLogin: Azure reserves/,
      ],
      [
        "a disk of another size",
        { server: { storageGb: 100 } },
        /^server\.storageGb: invalid value 100, expected one of 32/,
      ],
      [
        "a disk smaller than 1.25 times the source",
        { server: { storageGb: 128, sourceSizeGb: 110 } },
        /^server\.storageGb: .*1\.25 x/,
      ],
      [
        "a standby of a burstable server",
        { server: { sku: { name: "Standard_B2s", tier: "Burstable" } } },
        /^server\.highAvailability: burstable/,
      ],
    ]);

    for (const [name, tier] of [
      ["Standard_B1ms", "Burstable"],
      ["Standard_B20ms", "Burstable"],
      ["Standard_D4s_v3", "GeneralPurpose"],
      ["Standard_D96ads_v5", "GeneralPurpose"],
      ["Standard_DC4ads_v5", "GeneralPurpose"],
      ["Standard_E20ds_v4", "MemoryOptimized"],
      ["Standard_EC8ads_v5", "MemoryOptimized"],
    ] as const)
      it(`accepts ${name}`, () => {
        assert.equal(parseLabConfig(sku(name, tier), "dev").server.sku.name, name);
      });
  });

  describe("parameters", () => {
    refuses([
      [
        "a misspelt extension",
        { parameters: { extensions: ["uuid_ossp"] } },
        /^parameters\.extensions\.0: unknown extension "uuid_ossp", did you mean uuid-ossp\?$/,
      ],
      [
        "an unknown extension",
        { parameters: { extensions: ["nonsense"] } },
        /^parameters\.extensions\.0: unknown extension/,
      ],
      [
        "a misspelt parameter",
        parameters({ wal_levle: "logical" }),
        /^parameters\.more\.wal_levle: unknown server parameter "wal_levle", did you mean wal_level\?$/,
      ],
      [
        "the list of extensions",
        parameters({ "azure.extensions": "HSTORE" }),
        /^parameters\.more\.azure\.extensions: /,
      ],
      [
        "a WAL level that a source cannot have",
        parameters({ wal_level: "replica" }, { isSource: true }),
        /^parameters\.more\.wal_level: parameters\.isSource needs wal_level = logical/,
      ],
      [
        "preloaded libraries without one that an extension needs",
        parameters({ shared_preload_libraries: "pg_cron" }, { extensions: ["pgaudit"] }),
        /^parameters\.more\.shared_preload_libraries: the list lacks a library/,
      ],
    ]);

    it("accepts extensions in any case, parameters of extensions, and a list with all libraries", () => {
      const more = { "pgaudit.log": "ddl", TimeZone: "UTC", shared_preload_libraries: "pg_cron, pgaudit" };
      const config = parseLabConfig(parameters(more, { extensions: ["PGAUDIT"] }), "dev");
      assert.deepEqual(config.parameters, { extensions: ["pgaudit"], isSource: false, more, fromSource: "ignore" });
    });

    for (const major of [14, 18] as const)
      it(`knows the parameters of PostgreSQL ${major} that can be set`, async () => {
        const server = await EmbeddedServer.start({ major });
        try {
          const rows = await server.query<{ name: string }>(
            "SELECT name FROM pg_settings WHERE context <> 'internal' AND name NOT LIKE '%.%'",
          );
          const unknown = rows.map(({ name }) => name).filter((name) => !knownParameters.includes(name));
          assert.deepEqual(unknown, []);
        } finally {
          await server.stop();
        }
      });
  });

  describe("network", () => {
    refuses([
      [
        "two firewall rules of one name",
        { topology: "public", firewallRules: [firewallRule("a", "198.51.100.7"), firewallRule("a", "198.51.100.8")] },
        /^firewallRules: two rules have the same name/,
      ],
      [
        "a firewall rule that ends before it starts",
        { topology: "public", firewallRules: [firewallRule("a", "198.51.100.10", "198.51.100.9")] },
        /^firewallRules: a range ends before it starts/,
      ],
      [
        "firewall rules in a virtual network",
        { firewallRules: [firewallRule("a", "198.51.100.1")] },
        /^firewallRules: only a public server/,
      ],
      [
        "an incomplete address",
        { topology: "public", firewallRules: [firewallRule("a", "198.51.100", "198.51.100.1")] },
        /^firewallRules\.0\.start: invalid value "198\.51\.100", expected an IPv4 address$/,
      ],
      ["a zone with an empty label", { privateDnsZone: "a..postgres.database.azure.com" }, /^privateDnsZone: .*labels/],
      ["a zone with another ending", { privateDnsZone: "lab.example.com" }, /^privateDnsZone: .* ends in \.postgres/],
      [
        "a zone for a private endpoint",
        { topology: "privateEndpoint", privateDnsZone: "a.private.postgres.database.azure.com" },
        /^privateDnsZone: only topology private has a zone with a name of your choice/,
      ],
      [
        "the server's public name as the zone's",
        { server: { name: "psql-x1" }, privateDnsZone: "psql-x1.postgres.database.azure.com" },
        /^privateDnsZone: .* is the public name of the server/,
      ],
      ["a gateway without zones", { vpn: { sku: "VpnGw1" } }, /^vpn\.sku: .*expected a zone-redundant SKU/],
      ["Entra authentication without a tenant", { vpn: { authentication: "entra" } }, /^vpn\.tenantId: is missing/],
      ["a VPN to a public server", { topology: "public", vpn: { enabled: true } }, /^vpn\.enabled: a public server/],
    ]);
  });

  describe("migration", () => {
    const nine = Array.from({ length: 9 }, (_, index) => `db${index}`);
    refuses([
      ["an empty list of databases", migrating({ databases: [] }), /^migration\.databases: .*at least one database/],
      [
        "a database that is listed twice",
        migrating({ databases: ["a", "a"] }),
        /^migration\.databases: .*listed twice/,
      ],
      ["Azure's own databases", migrating({ databases: ["azure_sys"] }), /^migration\.databases: azure_sys and/],
      [
        "a cutover of an offline migration",
        migrating({ triggerCutover: true }),
        /^migration\.triggerCutover: an offline migration/,
      ],
      [
        "a cutover of a database that is not migrated",
        migrating({ mode: "Online", triggerCutover: true, dbsToTriggerCutoverOn: ["crm"] }),
        /^migration\.dbsToTriggerCutoverOn: contains a database that is not in migration\.databases$/,
      ],
      [
        "a window without a time",
        migrating({ migrationWindowStartTimeInUtc: "tonight" }),
        /^migration\.migrationWindowStartTimeInUtc: .*expected a time such as 2030-01-31T22:00:00Z$/,
      ],
      [
        "an unknown source type",
        azure({ source: { ...migration.source, type: "OnPrem" } }),
        /^migration\.source\.type: invalid value "OnPrem", expected one of OnPremises, AWS/,
      ],
      [
        "nine databases for Microsoft's service",
        azure({ databases: nine }),
        /^migration\.databases: .*at most 8 databases/,
      ],
      [
        "Microsoft's service without TLS",
        azure({ source: { ...migration.source, sslMode: "Disable" } }),
        /^migration\.source\.sslMode: Microsoft's service cannot disable TLS/,
      ],
      [
        "an image without a tag",
        container({ image: "example.azurecr.io/pg-migration" }),
        /^migration\.runner\.image: .*expected registry\/repository:tag$/,
      ],
      ["a container without an image", migrating({ worker: "container" }), /^migration\.runner: is missing/],
      [
        "a runner without a worker in a container",
        migrating({ runner: { image: "r/i:1" } }),
        /^migration\.runner: only a worker in a container uses it/,
      ],
      [
        "a container for Microsoft's service",
        container({ image: "r/i:1" }, { engine: "azure" }),
        /^migration\.worker: Microsoft's service has no worker of ours/,
      ],
      [
        "two ways to pull an image",
        container({
          image: "r/i:1",
          registryUser: "u",
          registry: resource("Microsoft.ContainerRegistry/registries/example"),
        }),
        /^migration\.runner\.registryUser: the runner's identity pulls/,
      ],
      [
        "another resource's id as the registry's",
        container({ image: "r/i:1", registry: resource("Microsoft.Sql/servers/example") }),
        /^migration\.runner\.registry: .*as az acr show --query id prints it$/,
      ],
    ]);

    it("accepts nine databases, and a source without TLS, for the embedded engine", () => {
      const source = { ...migration.source, sslMode: "Disable" };
      assert.equal(parseLabConfig(migrating({ databases: nine, source }), "dev").migration?.databases.length, 9);
    });
  });
});
