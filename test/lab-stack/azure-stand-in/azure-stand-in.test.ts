import assert from "node:assert/strict";
import { Cloud } from "./cloud";
import type { Properties } from "./properties";

const group = { resourceGroupName: "rg" };
const network = { ...group, virtualNetworkName: "vnet" };
const id = (path: string) => `/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/${path}`;
const subnetId = (name: string) => id(`Microsoft.Network/virtualNetworks/vnet/subnets/${name}`);
const zoneName = "lab.private.postgres.database.azure.com";
const zoneId = (name = zoneName) => id(`Microsoft.Network/privateDnsZones/${name}`);

const server: Properties = {
  ...group,
  serverName: "psql",
  location: "westeurope",
  version: "17",
  sku: { name: "Standard_D2ds_v5", tier: "GeneralPurpose" },
  storage: { storageSizeGB: 128 },
  highAvailability: { mode: "Disabled" },
  administratorLogin: "pgadmin",
  administratorLoginPassword: "Given-Passw0rd",
  network: { delegatedSubnetResourceId: subnetId("server"), privateDnsZoneArmResourceId: zoneId() },
};

const gateway: Properties = {
  ...group,
  virtualNetworkGatewayName: "vgw",
  gatewayType: "Vpn",
  vpnType: "RouteBased",
  sku: { name: "VpnGw1AZ" },
  ipConfigurations: [{ subnet: { id: subnetId("GatewaySubnet") } }],
  vpnClientConfiguration: { vpnClientAddressPool: { addressPrefixes: ["172.16.201.0/24"] } },
};

/** The other tests of the lab rely on these refusals. */
describe("lab-stack: the stand-in for Azure refuses", () => {
  let cloud: Cloud;
  const subnet = (subnetName: string, addressPrefix: string, serviceName?: string) =>
    cloud.create("network:Subnet", {
      ...network,
      subnetName,
      addressPrefix,
      ...(serviceName !== undefined && { delegations: [{ serviceName }] }),
    });
  const link = (name = zoneName) =>
    cloud.create("privatedns:VirtualNetworkLink", {
      ...group,
      privateZoneName: name,
      virtualNetworkLinkName: "link",
      virtualNetwork: { id: id("Microsoft.Network/virtualNetworks/vnet") },
    });
  const zone = (name = zoneName) => cloud.create("privatedns:PrivateZone", { ...group, privateZoneName: name });

  beforeEach(async () => {
    cloud = new Cloud({ withDatabases: false });
    await cloud.create("resources:ResourceGroup", { ...group, location: "westeurope" });
    await cloud.create("network:VirtualNetwork", { ...network, addressSpace: { addressPrefixes: ["10.0.0.0/16"] } });
    await subnet("server", "10.0.1.0/24", "Microsoft.DBforPostgreSQL/flexibleServers");
  });

  const refused = (operation: Promise<unknown>, code: string) =>
    assert.rejects(operation, new RegExp(`Code="${code}"`));

  it("two changes of parameters at once", async () => {
    await zone();
    await link();
    await cloud.create("dbforpostgresql:Server", server);
    const parameter = (configurationName: string) =>
      cloud.create("dbforpostgresql:Configuration", { ...group, serverName: "psql", configurationName, value: "1" });
    const first = parameter("max_wal_senders");
    await refused(parameter("max_replication_slots"), "ServerIsBusy");
    await first;
    await parameter("max_replication_slots");
  });

  it("two changes of subnets at once, subnets that overlap, and subnets outside the network", async () => {
    const first = subnet("a", "10.0.2.0/24");
    await refused(subnet("b", "10.0.3.0/24"), "AnotherOperationInProgress");
    await first;
    await refused(subnet("b", "10.0.2.128/25"), "NetcfgSubnetRangesOverlap");
    await refused(subnet("b", "10.1.0.0/24"), "NetcfgInvalidSubnet");
  });

  it("a zone with the server's name, without a link, or with another ending", async () => {
    const own = "psql.postgres.database.azure.com";
    const into = (zoneOf: string) =>
      cloud.create("dbforpostgresql:Server", {
        ...server,
        network: { delegatedSubnetResourceId: subnetId("server"), privateDnsZoneArmResourceId: zoneId(zoneOf) },
      });
    await refused(into(own), "InvalidPrivateDnsZoneName");
    await refused(into("lab.example.com"), "InvalidPrivateDnsZoneName");
    await zone();
    await refused(into(zoneName), "PrivateDnsZoneNotLinked");
  });

  it("a server in a subnet without delegation or with other resources", async () => {
    await zone();
    await link();
    await subnet("plain", "10.0.2.0/24");
    const plain = { delegatedSubnetResourceId: subnetId("plain"), privateDnsZoneArmResourceId: zoneId() };
    await refused(cloud.create("dbforpostgresql:Server", { ...server, network: plain }), "SubnetNotDelegated");
    cloud.resources.set("guest", {
      token: "network:NetworkInterface",
      id: "guest",
      inputs: { subnet: subnetId("server") },
    });
    await refused(cloud.create("dbforpostgresql:Server", server), "SubnetHasOtherGuests");
  });

  it("a gateway in a subnet of another name, with an old SKU, or with clients inside the network", async () => {
    await subnet("gateway", "10.0.254.0/27");
    await subnet("GatewaySubnet", "10.0.255.0/27");
    const create = (changes: Properties) => cloud.create("network:VirtualNetworkGateway", { ...gateway, ...changes });
    const misnamed = [{ subnet: { id: subnetId("gateway") } }];
    const inside = { vpnClientAddressPool: { addressPrefixes: ["10.0.9.0/24"] } };
    const badRoot = {
      ...(gateway.vpnClientConfiguration as object),
      vpnClientRootCertificates: [{ publicCertData: "x" }],
    };
    await refused(create({ ipConfigurations: misnamed }), "InvalidGatewaySubnetName");
    await refused(create({ sku: { name: "VpnGw1" } }), "NonAzSkusNotAllowedForVPNGateway");
    await refused(create({ vpnClientConfiguration: inside }), "VpnClientAddressPoolOverlapsWithVirtualNetwork");
    await refused(create({ vpnClientConfiguration: badRoot }), "VpnClientRootCertificateDataInvalid");
    await create({});
    await refused(cloud.delete("network:Subnet", subnetId("GatewaySubnet")), "InUse");
  });

  it("weak passwords, and firewall rules and endpoints for a server in a virtual network", async () => {
    await zone();
    await link();
    await refused(
      cloud.create("dbforpostgresql:Server", { ...server, administratorLoginPassword: "password" }),
      "InvalidParameterValue",
    );
    const { id: serverId } = await cloud.create("dbforpostgresql:Server", server);
    await refused(
      cloud.create("dbforpostgresql:FirewallRule", { ...group, serverName: "psql", firewallRuleName: "a" }),
      "FirewallRulesNotSupported",
    );
    await subnet("endpoints", "10.0.2.0/24");
    const endpoint = {
      ...group,
      privateEndpointName: "pep",
      subnet: { id: subnetId("endpoints") },
      privateLinkServiceConnections: [{ privateLinkServiceId: serverId }],
    };
    await refused(cloud.create("network:PrivateEndpoint", endpoint), "PrivateEndpointNotSupported");
    const inDelegated = { ...endpoint, subnet: { id: subnetId("server") } };
    await refused(
      cloud.create("network:PrivateEndpoint", inDelegated),
      "PrivateEndpointCannotBeCreatedInDelegatedSubnet",
    );
  });

  it("containers without a delegated subnet, a NAT gateway, or permission to pull", async () => {
    const identity = id("Microsoft.ManagedIdentity/userAssignedIdentities/puller");
    const create = (subnetName: string, changes: Properties = {}) =>
      cloud.create("containerinstance:ContainerGroup", {
        ...group,
        containerGroupName: "ci",
        subnetIds: [{ id: subnetId(subnetName) }],
        ...changes,
      });
    await subnet("plain", "10.0.2.0/24");
    await refused(create("plain"), "SubnetMissingRequiredDelegation");
    await subnet("closed", "10.0.3.0/24", "Microsoft.ContainerInstance/containerGroups");
    await refused(create("closed"), "InaccessibleImage");
    await cloud.create("network:Subnet", {
      ...network,
      subnetName: "runner",
      addressPrefix: "10.0.4.0/24",
      natGateway: { id: id("Microsoft.Network/natGateways/ng") },
      delegations: [{ serviceName: "Microsoft.ContainerInstance/containerGroups" }],
    });
    const pulling = {
      identity: { userAssignedIdentities: [identity] },
      imageRegistryCredentials: [{ server: "example.azurecr.io", identity }],
    };
    await refused(create("runner", pulling), "InaccessibleImage");
    await refused(create("runner", { ...pulling, identity: {} }), "InvalidImageRegistryCredentialType");
    await create("runner");
    await refused(cloud.delete("network:Subnet", subnetId("runner")), "InUse");
  });

  it("missing inputs, and resources without a parent", async () => {
    assert.deepEqual(cloud.check("network:Subnet", { ...network, subnetName: "a" }), [
      { property: "addressPrefix", reason: "is missing" },
    ]);
    await refused(
      cloud.create("dbforpostgresql:Configuration", { ...group, serverName: "none" }),
      "ParentResourceNotFound",
    );
  });
});
