import * as dnsresolver from "@pulumi/azure-native/dnsresolver";
import type { LabContext } from "../lab-context";
import { type LabNetwork, resolverAddress } from "./network";

/**
 * Resolves names of the private zone for VPN clients, which cannot reach Azure's own DNS server. The endpoint has a
 * static address, because the virtual network is created first and its settings contain the address.
 */
export function declareDnsResolver(
  { config, naming, group }: LabContext,
  { virtualNetwork, dnsResolver: subnet }: LabNetwork,
): dnsresolver.InboundEndpoint | undefined {
  if (!subnet) return undefined;
  const resolver = new dnsresolver.DnsResolver(
    naming.of("dnspr"),
    {
      resourceGroupName: group.name,
      location: group.location,
      dnsResolverName: naming.of("dnspr"),
      virtualNetwork: { id: virtualNetwork.id },
      tags: naming.tags,
    },
    { dependsOn: [subnet] },
  );
  return new dnsresolver.InboundEndpoint(naming.of("in"), {
    resourceGroupName: group.name,
    location: group.location,
    dnsResolverName: resolver.name,
    inboundEndpointName: naming.of("in"),
    ipConfigurations: [
      { subnet: { id: subnet.id }, privateIpAllocationMethod: "Static", privateIpAddress: resolverAddress(config) },
    ],
    tags: naming.tags,
  });
}
