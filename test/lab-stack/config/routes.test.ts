import assert from "node:assert/strict";
import { parseLabConfig } from "../../../lab-stack/config/lab-config";
import type { RawLabConfig } from "../../../lab-stack/config/lab-schema";
import { failuresOf, migration } from "./failures";

describe("lab-stack: routes between source and target", () => {
  const route = (changes: Partial<RawLabConfig>, migrationChanges: Record<string, unknown> = {}) => ({
    ...changes,
    migration: {
      ...migration,
      ...migrationChanges,
      source: { ...migration.source, ...(migrationChanges.source as object) },
    },
  });
  const rule = { name: "office", start: "198.51.100.7", end: "198.51.100.7" };
  const open: Partial<RawLabConfig> = { topology: "public", firewallRules: [rule] };
  const unconnected = { vpn: { enabled: false } };
  const azure = { engine: "azure" };
  const inContainer = { worker: "container", runner: { image: "example.azurecr.io/pg-migration:1" } };

  const possible: readonly (readonly [string, unknown])[] = [
    ["embedded, on premises to private over VPN", route({})],
    ["embedded, on premises to private over another connection", route({ ...unconnected, connectedElsewhere: true })],
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
      "azure, to a private endpoint through a runtime server",
      route({ topology: "privateEndpoint" }, { ...azure, runtimeServer: "/x" }),
    ],
  ];
  for (const [what, raw] of possible)
    it(`accepts ${what}`, () => {
      assert.doesNotThrow(() => parseLabConfig(raw, "dev"));
    });

  const impossible: readonly (readonly [string, unknown, RegExp])[] = [
    [
      "azure, on premises to public",
      route(open, azure),
      /^topology: Microsoft's service cannot combine a public target/,
    ],
    [
      "azure, to a private endpoint without a runtime server",
      route({ topology: "privateEndpoint" }, azure),
      /^migration\.runtimeServer: is missing/,
    ],
    [
      "azure, on premises without VPN",
      route(unconnected, azure),
      /^vpn\.enabled: the virtual network has no connection/,
    ],
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
      /^vpn\.enabled: pulumi up reaches a server with topology private only over VPN/,
    ],
    [
      "embedded, on premises, from a source in the network",
      route(unconnected, { source: { network: "virtualNetwork" } }),
      /^migration\.worker: a worker on premises reaches a source in the virtual network only over VPN/,
    ],
    [
      "embedded, to a public server without firewall rules",
      route({ topology: "public" }),
      /^firewallRules: is empty, and a public server refuses/,
    ],
  ];
  for (const [what, raw, expected] of impossible) it(`refuses ${what}`, () => assert.match(failuresOf(raw), expected));
});
