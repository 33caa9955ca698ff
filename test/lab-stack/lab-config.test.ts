import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfig, parseLabConfig, type RawLabConfig, readLabConfig } from "../../lab-stack/lab-config";

const migration = { source: { host: "192.168.1.10", user: "postgres" }, databases: ["adventureworks"] };

function failures(raw: unknown): string {
  try {
    parseLabConfig(raw, "dev");
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

  const wrong: readonly (readonly [what: string, raw: unknown, key: RegExp])[] = [
    ["an unknown key", { topologie: "private" }, /^topologie: there is no such key$/],
    ["an unknown key within", { server: { versoin: "17" } }, /^server\.versoin: there is no such key$/],
    ["an unknown choice", { topology: "both" }, /^topology: is none of private, public, privateEndpoint$/],
    ["a switch that is none", { protectData: "perhaps" }, /^protectData: /],
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
  for (const [what, raw, expected] of wrong) it(`refuses ${what}`, () => assert.match(failures(raw), expected));

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
