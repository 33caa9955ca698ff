import * as network from "@pulumi/azure-native/network";
import type * as resources from "@pulumi/azure-native/resources";
import type * as pulumi from "@pulumi/pulumi";
import { firstUsableAddress } from "../address-plan";
import type { LabConfig } from "../lab-config";
import type { Naming } from "../resource-names";

/** What every part of the lab is given. */
export interface Place {
  readonly config: LabConfig;
  readonly naming: Naming;
  readonly group: resources.ResourceGroup;
}

export interface LabNetwork {
  readonly virtualNetwork: network.VirtualNetwork;
  readonly server?: network.Subnet | undefined;
  readonly privateEndpoints?: network.Subnet | undefined;
  readonly runner?: network.Subnet | undefined;
  readonly dnsResolver?: network.Subnet | undefined;
  readonly gateway?: network.Subnet | undefined;
  /** The runner's way out to registries and public servers, and the address that it comes from there. */
  readonly wayOut?: WayOut | undefined;
}

interface WayOut {
  readonly natGateway: network.NatGateway;
  readonly address: network.PublicIPAddress;
}

type SubnetPart = Partial<network.SubnetArgs> & { readonly range: string; readonly subnetName: string };

/** The address that the DNS resolver listens on: chosen up front, since the network's settings name it. */
export const resolverAddress = (config: LabConfig): string => firstUsableAddress(config.addressPlan.dnsResolver);

/** Only what the topology and the phase ask for has a subnet. A public server needs the network for its runner only. */
export function declareNetwork(place: Place): LabNetwork {
  const { config, naming, group } = place;
  const { addressPlan: plan, topology, phase, vpn } = config;
  const virtualNetwork = new network.VirtualNetwork(naming.of("vnet"), {
    resourceGroupName: group.name,
    location: group.location,
    virtualNetworkName: naming.of("vnet"),
    addressSpace: { addressPrefixes: [plan.virtualNetwork] },
    // VPN clients are told the network's DNS servers, and cannot reach Azure's own at 168.63.129.16.
    ...(vpn.enabled && { dhcpOptions: { dnsServers: [resolverAddress(config)] } }),
    tags: naming.tags,
  });
  const subnet = subnetChain(place, virtualNetwork);
  const isMigrating = phase === "migrate";
  const wayOut = isMigrating && config.migration?.worker === "container" ? declareWayOut(place) : undefined;
  return {
    virtualNetwork,
    server: topology === "private" ? subnet("server", serverSubnet(naming, plan.server)) : undefined,
    privateEndpoints:
      topology === "privateEndpoint"
        ? subnet("endpoints", { subnetName: naming.of("snet", "endpoints"), range: plan.privateEndpoints })
        : undefined,
    wayOut,
    runner: isMigrating ? subnet("runner", runnerSubnet(naming, plan.runner, wayOut)) : undefined,
    dnsResolver: vpn.enabled ? subnet("resolver", resolverSubnet(naming, plan.dnsResolver)) : undefined,
    // The name is Azure's: a gateway is refused in a subnet of any other.
    gateway: vpn.enabled ? subnet("gateway", { subnetName: "GatewaySubnet", range: plan.gateway }) : undefined,
  };
}

/** Azure changes one subnet of a network at a time and answers AnotherOperationInProgress to others: one after another. */
function subnetChain({ group, naming }: Place, virtualNetwork: network.VirtualNetwork) {
  let previous: pulumi.Resource = virtualNetwork;
  return (what: string, { range, ...part }: SubnetPart): network.Subnet => {
    const subnet = new network.Subnet(
      naming.of("snet", what),
      {
        resourceGroupName: group.name,
        virtualNetworkName: virtualNetwork.name,
        addressPrefix: range,
        privateEndpointNetworkPolicies: "Disabled",
        ...part,
      },
      { dependsOn: [previous] },
    );
    previous = subnet;
    return subnet;
  };
}

const serverSubnet = (naming: Naming, range: string): SubnetPart => ({
  subnetName: naming.of("snet", "server"),
  range,
  delegations: [{ name: "flexible-servers", serviceName: "Microsoft.DBforPostgreSQL/flexibleServers" }],
  // Flexible servers keep their backups and archived WAL in storage.
  serviceEndpoints: [{ service: "Microsoft.Storage" }],
});

/** Where containers run nothing else may; without one the subnet takes any machine. */
const runnerSubnet = (naming: Naming, range: string, wayOut: WayOut | undefined): SubnetPart => ({
  subnetName: naming.of("snet", "runner"),
  range,
  ...(wayOut && {
    natGateway: { id: wayOut.natGateway.id },
    delegations: [{ name: "container-groups", serviceName: "Microsoft.ContainerInstance/containerGroups" }],
  }),
});

/** Container groups in a virtual network have no other way out than a NAT gateway. */
function declareWayOut({ naming, group }: Place): WayOut {
  const common = { resourceGroupName: group.name, location: group.location, tags: naming.tags };
  const address = new network.PublicIPAddress(naming.of("pip", "runner"), {
    ...common,
    publicIpAddressName: naming.of("pip", "runner"),
    sku: { name: "Standard", tier: "Regional" },
    publicIPAllocationMethod: "Static",
  });
  const natGateway = new network.NatGateway(naming.of("ng", "runner"), {
    ...common,
    natGatewayName: naming.of("ng", "runner"),
    sku: { name: "Standard" },
    publicIpAddresses: [{ id: address.id }],
  });
  return { natGateway, address };
}

const resolverSubnet = (naming: Naming, range: string): SubnetPart => ({
  subnetName: naming.of("snet", "resolver"),
  range,
  delegations: [{ name: "dns-resolvers", serviceName: "Microsoft.Network/dnsResolvers" }],
});
