import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfig, parseLabConfig, type RawLabConfig, readLabConfig } from "../../lab-stack/lab-config";

const migration = { source: { host: "192.168.1.10", user: "postgres" }, databases: ["adventureworks"] };

const tenantId = "11111111-2222-4333-8444-555555555555";
const resource = (path: string) => `/subscriptions/s/resourceGroups/g/providers/${path}`;

/** A configuration in which no key is left to its default. The type sees to it that none is forgotten. */
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
    tenantId,
    audience: tenantId,
  },
  connectedElsewhere: false,
  migration: {
    engine: "embedded",
    name: "crm",
    source: { host: "db", port: 5432, user: "postgres", sslMode: "Prefer", network: "onPremises", type: "OnPremises" },
    databases: ["adventureworks"],
    mode: "Online",
    option: "Migrate",
    overwrite: false,
    triggerCutover: false,
    worker: "container",
    runner: {
      image: "example.azurecr.io/pg-migration:1",
      registry: resource("Microsoft.ContainerRegistry/registries/example"),
      registryUser: undefined,
      replicas: 2,
      cpu: 2,
      memoryGb: 4,
    },
    targetBy: "name",
    targetSslMode: "Require",
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

function failures(raw: unknown, stack = "dev"): string {
  try {
    parseLabConfig(raw, stack);
  } catch (error) {
    assert(error instanceof InvalidLabConfig);
    return error.failures.join("\n");
  }
  throw new assert.AssertionError({ message: "the configuration was accepted" });
}

describe("lab-stack: configuration", () => {
  it("has defaults for everything", () => {
    const config = parseLabConfig({}, "dev");
    assert.equal(config.topology, "private");
    assert.equal(config.serverName, "psql-pglab-dev");
    assert.equal(config.zoneName, "pglab-dev.private.postgres.database.azure.com");
    assert.equal(config.vpn.enabled, true);
    assert.equal(parseLabConfig({ topology: "public" }, "dev").vpn.enabled, false);
  });

  it("takes numbers where `pulumi config set --path` has made them of texts", () => {
    const { server, tags } = parseLabConfig(
      { server: { version: 16, availabilityZone: 2 }, tags: { number: 7 } },
      "dev",
    );
    assert.deepEqual([server.version, server.availabilityZone, tags.number], ["16", "2", "7"]);
  });

  it("is read from the stack's configuration, with secrets left alone and misspelt keys named", () => {
    const read = (values: Record<string, string>) => {
      pulumi.runtime.setAllConfig({ "other:key": "x", "lab:sourcePassword": "secret", ...values });
      return readLabConfig(new pulumi.Config("lab"), "dev");
    };
    assert.equal(read({ "lab:server": '{"storageGb":256}', "lab:protectData": "false" }).server.storageGb, 256);
    assert.throws(() => read({ "lab:topologie": "private" }), /topologie: there is no such key/);
  });

  const rule = (name: string, start: number, end: number) => ({
    name,
    start: `198.51.100.${start}`,
    end: `198.51.100.${end}`,
  });
  const container = (runner: object, wish: object = {}) => ({
    migration: { ...migration, worker: "container", runner, ...wish },
  });
  const wrong: readonly (readonly [what: string, raw: unknown, key: RegExp, stack?: string])[] = [
    ["an unknown key", { topologie: "private" }, /^topologie: there is no such key$/],
    ["an unknown key within", { server: { versoin: "17" } }, /^server\.versoin: there is no such key$/],
    ["an unknown choice", { topology: "both" }, /^topology: is none of private, public, privateEndpoint$/],
    ["a switch that is none", { protectData: "perhaps" }, /^protectData: is neither true nor false$/],
    [
      "a stack's name that makes no server's",
      { server: {} },
      /^server\.name: is missing; .* give 3 to 63 lower-case/m,
      "Dev_1",
    ],
    [
      "two firewall rules of one name",
      { topology: "public", firewallRules: [rule("a", 7, 7), rule("a", 8, 8)] },
      /^firewallRules: two have the same name/,
    ],
    [
      "a firewall rule that ends before it starts",
      { topology: "public", firewallRules: [rule("a", 8, 7)] },
      /^firewallRules: a range ends before it starts/,
    ],
    [
      "a zone with an empty label",
      { privateDnsZone: "a..postgres.database.azure.com" },
      /^privateDnsZone: .* is no name of a zone/,
    ],
    [
      "an image without a tag",
      container({ image: "example.azurecr.io/pg-migration" }),
      /^migration\.runner\.image: write registry/,
    ],
    [
      "a container without an image",
      { migration: { ...migration, worker: "container" } },
      /^migration\.runner: is missing/,
    ],
    [
      "a runner that nothing uses",
      { migration: { ...migration, runner: { image: "r/i:1" } } },
      /^migration\.runner: nothing would run in it/,
    ],
    [
      "a container for Azure's own service",
      container({ image: "r/i:1" }, { engine: "azure" }),
      /^migration\.worker: Azure's service runs by itself/,
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
    ["a name too long", { name: "a-name-that-is-much-too-long" }, /^name: use 3 to 20 lower-case letters/],
    [
      "a reserved administrator",
      { server: { administratorLogin: "root" } },
      /^server\.administratorLogin: Azure keeps/,
    ],
    ["a disk of no such size", { server: { storageGb: 100 } }, /^server\.storageGb: is no size/],
    ["a disk too small", { server: { storageGb: 128, sourceSizeGb: 110 } }, /^server\.storageGb: .*1\.25 x/],
    [
      "a standby of a burstable server",
      { server: { sku: { name: "Standard_B2s", tier: "Burstable" } } },
      /^server\.highAvailability: burstable/,
    ],
    ["a gateway without zones", { vpn: { sku: "VpnGw1" } }, /^vpn\.sku: only zone-redundant/],
    ["Entra without a tenant", { vpn: { authentication: "entra" } }, /^vpn\.tenantId: is missing/],
    ["a VPN to a public server", { topology: "public", vpn: { enabled: true } }, /^vpn\.enabled: a public server/],
    ["a zone elsewhere", { privateDnsZone: "lab.example.com" }, /^privateDnsZone: .* must end in/],
    [
      "the server's own name as the zone's",
      { server: { name: "psql-x1" }, privateDnsZone: "psql-x1.postgres.database.azure.com" },
      /^privateDnsZone: .* is the server's own public name/,
    ],
    [
      "firewall rules in a virtual network",
      { firewallRules: [{ name: "a", start: "198.51.100.1", end: "198.51.100.1" }] },
      /^firewallRules: only a public server has any/,
    ],
    [
      "an address that is none",
      { topology: "public", firewallRules: [{ name: "a", start: "198.51.100", end: "198.51.100.1" }] },
      /^firewallRules\.0\.start: is no IPv4 address$/,
    ],
    ["no databases", { migration: { ...migration, databases: [] } }, /^migration\.databases: name at least one/],
    [
      "a cutover of an offline migration",
      { migration: { ...migration, triggerCutover: true } },
      /^migration\.triggerCutover: an offline migration/,
    ],
  ];
  for (const [what, raw, expected, stack] of wrong)
    it(`refuses ${what}`, () => assert.match(failures(raw, stack), expected));

  // Each leaf in turn is an object that has no business there.
  for (const path of leavesOf(everyKey)) {
    it(`names ${path}, and a rule`, () => {
      const raw = structuredClone(everyKey) as Record<string, unknown>;
      put(raw, path.split("."), { nonsense: true });
      const found = failures(raw)
        .split("\n")
        .find((line) => line.startsWith(`${path}: `) || line.startsWith(`${path}.`));
      assert(found, failures(raw));
      assert.match(found, /: [\p{L}\d][^:]{8,}/u);
      assert.doesNotMatch(found, /: Invalid input$/);
    });
  }

  it("accepts the configuration that those cases begin with", () => {
    assert.doesNotThrow(() => parseLabConfig(everyKey, "dev"));
  });

  it("names all that is wrong at once", () => {
    const lines = failures({ topology: "both", phase: "walk", server: { version: "9" } }).split("\n");
    assert.deepEqual(
      lines.map((line) => line.split(":")[0]),
      ["topology", "phase", "server.version"],
    );
  });

  describe("routes between source and target", () => {
    const route = (changes: Partial<RawLabConfig>, wish: Record<string, unknown> = {}) => ({
      ...changes,
      migration: { ...migration, ...wish, source: { ...migration.source, ...(wish.source as object) } },
    });
    const rule = { name: "office", start: "198.51.100.7", end: "198.51.100.7" };
    const open: Partial<RawLabConfig> = { topology: "public", firewallRules: [rule] };
    const unconnected = { vpn: { enabled: false } };
    const azure = { engine: "azure" };
    const inContainer = { worker: "container", runner: { image: "example.azurecr.io/pg-migration:1" } };

    const possible: readonly (readonly [string, unknown])[] = [
      ["embedded, on premises to private over VPN", route({})],
      [
        "embedded, on premises to private over somebody else's line",
        route({ ...unconnected, connectedElsewhere: true }),
      ],
      ["embedded, on premises to public", route(open)],
      [
        "embedded, in the network, from a public source",
        route(unconnected, { worker: "virtualNetwork", source: { network: "public" } }),
      ],
      ["embedded, in a container, to private over VPN", route({}, inContainer)],
      ["embedded, in a container, to public", route(open, { ...inContainer, source: { network: "virtualNetwork" } })],
      ["azure, public to private", route(unconnected, { ...azure, source: { network: "public" } })],
      ["azure, public to public", route(open, { ...azure, source: { network: "public" } })],
      ["azure, on premises to private over VPN", route({}, azure)],
      [
        "azure, to a private endpoint by a runtime server",
        route({ topology: "privateEndpoint" }, { ...azure, runtimeServer: "/x" }),
      ],
    ];
    for (const [what, raw] of possible) it(`accepts ${what}`, () => void parseLabConfig(raw, "dev"));

    const impossible: readonly (readonly [string, unknown, RegExp])[] = [
      [
        "azure, on premises to public",
        route(open, azure),
        /^topology: a public target and a source in a private network/,
      ],
      [
        "azure, to a private endpoint alone",
        route({ topology: "privateEndpoint" }, azure),
        /^migration\.runtimeServer: is missing/,
      ],
      ["azure, on premises without VPN", route(unconnected, azure), /^vpn\.enabled: nothing leads/],
      ["embedded, on premises without VPN", route(unconnected), /^vpn\.enabled: a worker on premises/],
      [
        "embedded, in the network, without VPN",
        route(unconnected, { worker: "virtualNetwork" }),
        /^migration\.worker: a worker in/,
      ],
      [
        "embedded, in a container, from a source on premises without VPN",
        route(unconnected, inContainer),
        /^migration\.worker: a worker in/,
      ],
      [
        "embedded, in a container, with pulumi up on premises without VPN",
        route(unconnected, { ...inContainer, source: { network: "public" } }),
        /^vpn\.enabled: pulumi up reaches a server with topology private over VPN only/,
      ],
      [
        "embedded, on premises, from a source in the network",
        route(unconnected, { source: { network: "virtualNetwork" } }),
        /^migration\.worker: a worker on premises does not reach/,
      ],
      [
        "embedded, to a public server that admits nobody",
        route({ topology: "public" }),
        /^firewallRules: a public server/,
      ],
    ];
    for (const [what, raw, expected] of impossible) it(`refuses ${what}`, () => assert.match(failures(raw), expected));
  });
});
