import assert from "node:assert/strict";
import { cloudInit } from "../../../lab-stack/source/cloud-init";
import { makeVpnCertificates } from "../../../lab-stack/vpn/vpn-certificates";
import { at } from "../azure-stand-in/properties";
import { failuresOf } from "../config/failures";
import { MockedLab } from "../mocks/mocked-lab";
import { MockedManager } from "../mocks/mocked-manager";

const hub =
  "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/hub";
const spoke = hub.replace(/hub$/, "spoke");

describe("lab-stack: options", () => {
  let manager: MockedManager;
  let lab: MockedLab;

  before(async () => {
    manager = await MockedManager.start();
    const { root } = await makeVpnCertificates([]);
    lab = await MockedLab.declare(
      {
        resourceManager: manager.url,
        vpn: { rootCertificate: root.certificate, siteToSite: { address: "198.51.100.7" } },
        addressPlan: { onPremises: ["192.168.1.0/24"] },
        peering: [hub, spoke],
        securityGroup: true,
        monitoring: { emails: ["dba@example.com"] },
        sourceServer: { sshPublicKey: "ssh-ed25519 AAAA lab" },
      },
      { sourcePassword: "it's", vpnSharedKey: "a shared key" },
    );
  });

  after(() => manager.close());

  const named = (name: string) => {
    const found = lab.declared.find((one) => one.name === name);
    assert(found, `${name} was not declared`);
    return found.inputs;
  };

  it("connects to the VPN device on premises with a secret key", () => {
    const device = lab.the("network:LocalNetworkGateway");
    assert.equal(device.gatewayIpAddress, "198.51.100.7");
    assert.deepEqual(device.localNetworkAddressSpace, { addressPrefixes: ["192.168.1.0/24"] });
    const connection = lab.the("network:VirtualNetworkGatewayConnection");
    assert.equal(connection.connectionType, "IPsec");
    assert.equal(at(connection, "virtualNetworkGateway1.id"), "/ids/vgw-pglab-dev");
    assert.equal(at(connection, "sharedKey.value"), "a shared key");
  });

  it("peers in both directions, and links the zone", () => {
    const here = named("peer-pglab-dev-hub");
    assert.deepEqual(here.remoteVirtualNetwork, { id: hub });
    assert.equal(here.allowGatewayTransit, true);
    const back = named("peer-pglab-dev-hub-back");
    assert.deepEqual([back.resourceGroupName, back.virtualNetworkName], ["rg-hub", "hub"]);
    assert.deepEqual(back.remoteVirtualNetwork, { id: "/ids/vnet-pglab-dev" });
    const provider = named("peer-pglab-dev-hub-subscription");
    assert.equal(provider.subscriptionId, "00000000-0000-0000-0000-000000000002");
    assert.deepEqual(named("pdnslink-pglab-dev-hub").virtualNetwork, { id: hub });
  });

  it("creates one peering at a time, because Azure refuses concurrent changes of a virtual network", () => {
    assert.equal(lab.all("network:VirtualNetworkPeering").length, 4);
    assert.equal(lab.mostAtOnce("network:VirtualNetworkPeering"), 1);
  });

  it("admits PostgreSQL and PgBouncer to the server's subnet, and what the service needs", () => {
    assert.equal(at(named("snet-pglab-dev-server"), "networkSecurityGroup.id"), "/ids/nsg-pglab-dev-server");
    const rules = named("nsg-pglab-dev-server").securityRules as readonly Record<string, unknown>[];
    assert.deepEqual(
      rules.map((rule) => [rule.name, rule.access, rule.destinationAddressPrefix, rule.destinationPortRanges]),
      [
        ["postgresql-in", "Allow", "VirtualNetwork", ["5432", "6432"]],
        ["network-out", "Allow", "VirtualNetwork", ["*"]],
        ["storage-out", "Allow", "Storage", ["443"]],
        ["entra-out", "Allow", "AzureActiveDirectory", ["443"]],
        ["other-inbound", "Deny", "*", ["*"]],
        ["other-outbound", "Deny", "*", ["*"]],
      ],
    );
  });

  it("sends alerts of the new server to the given addresses, and has a workbook", () => {
    const alerts = lab.all("monitor:MetricAlert");
    assert.equal(alerts.length, 5);
    for (const alert of alerts) assert.deepEqual(alert.actions, [{ actionGroupId: "/ids/ag-pglab-dev" }]);
    const storage = named("ma-pglab-dev-storage-percent");
    assert.deepEqual(
      [at(storage, "criteria.allOf.0.metricName"), at(storage, "criteria.allOf.0.threshold")],
      ["storage_percent", 80],
    );
    assert.equal(at(lab.the("monitor:ActionGroup"), "emailReceivers.0.emailAddress"), "dba@example.com");
    const workbook = JSON.parse(lab.the("applicationinsights:Workbook").serializedData as string) as {
      readonly items: readonly { readonly content: { readonly resourceIds: readonly string[] } }[];
    };
    assert.equal(workbook.items.length, 7);
    assert.deepEqual(workbook.items[0]!.content.resourceIds, ["/ids/psql-pglab-dev"]);
  });

  it("has a machine with PostgreSQL as source, whose start script is a secret", () => {
    assert.equal(lab.lab.sourceHost, "10.0.5.4");
    assert.equal(named("snet-pglab-dev-source").addressPrefix, "10.0.5.0/24");
    assert.equal(at(named("nic-pglab-dev-source"), "ipConfigurations.0.privateIPAddress"), "10.0.5.4");
    const { osProfile } = lab.the("compute:VirtualMachine");
    const script = Buffer.from(at(osProfile, "value.customData") as string, "base64").toString();
    assert.equal(script, cloudInit("it's", ["10.0.0.0/16", "172.16.201.0/24"]));
    assert.match(script, /^#cloud-config\n/);
    assert.match(script, /ALTER ROLE postgres PASSWORD 'it''s';/);
    assert.match(script, /host all postgres 10\.0\.0\.0\/16 scram-sha-256\\n/);
  });

  it("refuses options that lack what they need", () => {
    assert.equal(
      failuresOf({ vpn: { siteToSite: { address: "198.51.100.7" } } }),
      "addressPlan.onPremises: is empty, a site-to-site VPN needs the networks on premises",
    );
    assert.match(failuresOf({ topology: "privateEndpoint", securityGroup: true }), /^securityGroup: only/);
    assert.match(failuresOf({ peering: ["hub"] }), /^peering\.0: invalid value "hub"/);
    const migration = { engine: "azure", source: { host: "h", user: "u" }, databases: ["app_*"] };
    assert.match(failuresOf({ migration }), /^migration\.databases: Microsoft's service takes names only/);
  });
});
