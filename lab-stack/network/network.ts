import * as network from "@pulumi/azure-native/network";
import type * as pulumi from "@pulumi/pulumi";
import { firstUsableAddress } from "../config/address-plan";
import type { LabConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import type { Naming } from "../resource-names";
import { declarePublicAddress } from "./public-address";
import { declareServerSecurityGroup } from "./server-security-group";

export interface LabNetwork {
  readonly virtualNetwork: network.VirtualNetwork;
  readonly server?: network.Subnet | undefined;
  readonly privateEndpoints?: network.Subnet | undefined;
  readonly runner?: network.Subnet | undefined;
  readonly dnsResolver?: network.Subnet | undefined;
  readonly source?: network.Subnet | undefined;
  readonly gateway?: network.Subnet | undefined;
  /** Through which the runner's containers reach registries and public servers. */
  readonly natGateway?: RunnerNatGateway | undefined;
}

interface RunnerNatGateway {
  readonly gateway: network.NatGateway;
  /** The address that public servers see. */
  readonly publicAddress: network.PublicIPAddress;
}

type SubnetPart = Partial<network.SubnetArgs> & { readonly range: string; readonly subnetName: string };

export const subnetsOf = ({ server, privateEndpoints, runner, dnsResolver, source, gateway }: LabNetwork) =>
  [server, privateEndpoints, runner, dnsResolver, source, gateway].filter((subnet) => subnet !== undefined);

/** The address of the DNS resolver. It is fixed, because the virtual network's settings need it first. */
export const resolverAddress = (config: LabConfig): string => firstUsableAddress(config.addressPlan.dnsResolver);

/** Declares the subnets that the topology and the phase need. For a public server that is only the runner's. */
export function declareNetwork(context: LabContext): LabNetwork {
  const { config, naming, group } = context;
  const { addressPlan: plan, topology, phase, vpn } = config;
  const virtualNetwork = new network.VirtualNetwork(naming.of("vnet"), {
    resourceGroupName: group.name,
    location: group.location,
    virtualNetworkName: naming.of("vnet"),
    addressSpace: { addressPrefixes: [plan.virtualNetwork] },
    // VPN clients use the network's DNS servers, and cannot reach Azure's own at 168.63.129.16.
    ...(vpn.enabled && { dhcpOptions: { dnsServers: [resolverAddress(config)] } }),
    tags: naming.tags,
  });
  const subnet = subnetChain(context, virtualNetwork);
  const isMigrating = phase === "migrate";
  const natGateway = isMigrating && config.migration?.worker === "container" ? declareNatGateway(context) : undefined;
  return {
    virtualNetwork,
    server: topology === "private" ? subnet("server", serverSubnet(context)) : undefined,
    privateEndpoints:
      topology === "privateEndpoint"
        ? subnet("endpoints", { subnetName: naming.of("snet", "endpoints"), range: plan.privateEndpoints })
        : undefined,
    natGateway,
    runner: isMigrating ? subnet("runner", runnerSubnet(naming, plan.runner, natGateway)) : undefined,
    dnsResolver: vpn.enabled ? subnet("resolver", resolverSubnet(naming, plan.dnsResolver)) : undefined,
    source:
      plan.source === undefined
        ? undefined
        : subnet("source", { subnetName: naming.of("snet", "source"), range: plan.source }),
    // Azure requires this name for the subnet of a gateway.
    gateway: vpn.enabled ? subnet("gateway", { subnetName: "GatewaySubnet", range: plan.gateway }) : undefined,
  };
}

/** Declares subnets one after another: Azure changes one at a time and answers AnotherOperationInProgress to others. */
function subnetChain({ group, naming }: LabContext, virtualNetwork: network.VirtualNetwork) {
  let previous: pulumi.Resource = virtualNetwork;
  return (suffix: string, { range, ...part }: SubnetPart): network.Subnet => {
    const subnet = new network.Subnet(
      naming.of("snet", suffix),
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

const serverSubnet = (context: LabContext): SubnetPart => ({
  subnetName: context.naming.of("snet", "server"),
  range: context.config.addressPlan.server,
  ...(context.config.securityGroup && { networkSecurityGroup: { id: declareServerSecurityGroup(context).id } }),
  delegations: [{ name: "flexible-servers", serviceName: "Microsoft.DBforPostgreSQL/flexibleServers" }],
  // Flexible servers keep their backups and archived WAL in storage.
  serviceEndpoints: [{ service: "Microsoft.Storage" }],
});

/** A subnet for containers is delegated to them. Without containers it accepts any machine. */
const runnerSubnet = (naming: Naming, range: string, natGateway: RunnerNatGateway | undefined): SubnetPart => ({
  subnetName: naming.of("snet", "runner"),
  range,
  ...(natGateway && {
    natGateway: { id: natGateway.gateway.id },
    delegations: [{ name: "container-groups", serviceName: "Microsoft.ContainerInstance/containerGroups" }],
  }),
});

/** Container groups in a virtual network reach the internet only through a NAT gateway. */
function declareNatGateway(context: LabContext): RunnerNatGateway {
  const { naming, group } = context;
  const common = { resourceGroupName: group.name, location: group.location, tags: naming.tags };
  const publicAddress = declarePublicAddress(context, "runner");
  const gateway = new network.NatGateway(naming.of("ng", "runner"), {
    ...common,
    natGatewayName: naming.of("ng", "runner"),
    sku: { name: "Standard" },
    publicIpAddresses: [{ id: publicAddress.id }],
  });
  return { gateway, publicAddress };
}

const resolverSubnet = (naming: Naming, range: string): SubnetPart => ({
  subnetName: naming.of("snet", "resolver"),
  range,
  delegations: [{ name: "dns-resolvers", serviceName: "Microsoft.Network/dnsResolvers" }],
});
