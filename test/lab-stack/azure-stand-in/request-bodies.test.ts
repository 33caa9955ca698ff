import assert from "node:assert/strict";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { AzureSdk } from "./azure-sdk";
import { missing } from "./missing-inputs";
import { reveal } from "./provider";
import { requiredInputs, resourceId, resourceTypes } from "./resource-types";
import { MockedLab } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const sdk = new AzureSdk();
/** The namespaces that these SDKs support. */
const serialized = /^(network|privatedns|dbforpostgresql|containerinstance):/;
const tenantId = "11111111-2222-4333-8444-555555555555";

describe("lab-stack: inputs of resources match Microsoft's SDKs", () => {
  let manager: MockedManager;
  let common: Record<string, unknown>;
  before(async () => {
    manager = await MockedManager.start();
    const { root } = await makeVpnCertificates([]);
    common = { resourceManager: manager.url, vpn: { rootCertificate: root.certificate } };
  });
  after(() => manager.close());

  const secrets = { sourcePassword: "source-secret", registryPassword: "pull-secret" };
  const migration = {
    engine: "azure",
    source: { host: "db.example.com", user: "postgres", network: "public" },
    databases: ["adventureworks"],
    mode: "Online",
  };
  const entraAdministrator = { objectId: tenantId, principalName: "dba", tenantId };
  const rule = { name: "office", start: "198.51.100.7", end: "198.51.100.7" };
  const labs: Record<string, Record<string, unknown>> = {
    private: { migration, server: { entraAdministrator, availabilityZone: "1" }, parameters: { isSource: true } },
    public: { topology: "public", firewallRules: [rule], migration },
    privateEndpoint: { topology: "privateEndpoint" },
    "private, with a runner": {
      migration: {
        source: { host: "192.168.1.10", user: "postgres" },
        databases: ["adventureworks"],
        worker: "container",
        runner: { image: "registry.example.com/pg-migration:0.1.0", registryUser: "reader" },
      },
    },
    "private, with Entra VPN": { vpn: { authentication: "entra", tenantId } },
  };
  for (const [what, raw] of Object.entries(labs)) {
    it(what, async () => {
      const lab = await MockedLab.declare({ ...common, ...raw }, secrets);
      let compared = 0;
      for (const { type, inputs } of lab.declared) {
        const token = type.replace("azure-native:", "");
        const plain = reveal(inputs) as Record<string, unknown>;
        const request = await sdk.creating(token, plain);
        assert(request || !serialized.test(token), `${type} was not compared`);
        if (!request) continue;
        compared++;
        const names = new Set(requiredInputs(token).filter((name) => !resourceTypes[token]!.required.includes(name)));
        const body = Object.fromEntries(Object.entries(plain).filter(([key]) => !names.has(key)));
        assert.deepEqual(missing(body, request.body), [], `${type}: the SDK does not know these inputs`);
        assert.equal(request.path, resourceId(token, plain), "the stand-in's id is Azure's path");
      }
      assert(compared >= 7, `${compared} resources were compared`);
    });
  }

  it("detects a misspelt and a misplaced input", async () => {
    const names = { resourceGroupName: "rg", virtualNetworkName: "vnet", subnetName: "s" };
    const wrong = { adressPrefix: "10.0.1.0/24", delegations: [{ name: "a", properties: { serviceName: "b" } }] };
    const request = await sdk.creating("network:Subnet", { ...names, ...wrong });
    assert.deepEqual(missing(wrong, request!.body), [
      "adressPrefix = 10.0.1.0/24",
      "delegations.0.properties.serviceName = b",
    ]);
  });

  it("uses the SDKs' paths and versions to restart a server and to read A records", async () => {
    const restart = await sdk.restarting("rg", "psql");
    const addresses = await sdk.listingAddresses("rg", "zone");
    assert.match(restart.path, /\/flexibleServers\/psql\/restart$/);
    assert.deepEqual([restart.method, restart.apiVersion], ["POST", "2025-08-01"]);
    assert.match(addresses.path, /\/privateDnsZones\/zone\/A$/);
    assert.deepEqual([addresses.method, addresses.apiVersion], ["GET", "2024-06-01"]);
  });
});
