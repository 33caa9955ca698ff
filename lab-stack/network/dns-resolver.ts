import * as dnsresolver from "@pulumi/azure-native/dnsresolver";
import { type LabNetwork, type Place, resolverAddress } from "./network";

/**
 * Answers VPN clients' questions about the private zone: Azure's own DNS server is reached from inside the network only.
 * The endpoint's address is static because the network's settings, made before it, name it.
 */
export function declareDnsResolver(
  { config, naming, group }: Place,
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
