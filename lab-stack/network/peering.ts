import * as azure from "@pulumi/azure-native";
import * as network from "@pulumi/azure-native/network";
import * as privatedns from "@pulumi/azure-native/privatedns";
import type * as pulumi from "@pulumi/pulumi";
import type { LabContext } from "../lab-context";
import { subnetsOf, type LabNetwork } from "./network";
import type { PrivateDns } from "./private-dns";

/** Declares both sides of each peering, and lets the peer resolve names in the private zone. */
export function declarePeerings(context: LabContext, lab: LabNetwork, dns: PrivateDns | undefined): void {
  const { config, naming, group } = context;
  // Azure changes one part of a virtual network at a time. Both sides of a peering change both networks.
  let previous: pulumi.Resource[] = subnetsOf(lab);
  for (const id of config.peering) {
    const remote = parseId(id);
    const peer = naming.of("peer", remote.name);
    const common = { virtualNetworkPeeringName: peer, allowVirtualNetworkAccess: true, allowForwardedTraffic: true };
    const here = new network.VirtualNetworkPeering(
      peer,
      {
        ...common,
        resourceGroupName: group.name,
        virtualNetworkName: lab.virtualNetwork.name,
        remoteVirtualNetwork: { id },
        // The peer may use the lab's VPN gateway, if it has none of its own.
        allowGatewayTransit: config.vpn.enabled,
      },
      { dependsOn: previous },
    );
    const provider = new azure.Provider(naming.of("peer", `${remote.name}-subscription`), {
      subscriptionId: remote.subscription,
    });
    const back = new network.VirtualNetworkPeering(
      `${peer}-back`,
      {
        ...common,
        resourceGroupName: remote.group,
        virtualNetworkName: remote.name,
        remoteVirtualNetwork: { id: lab.virtualNetwork.id },
      },
      { provider, dependsOn: [here] },
    );
    previous = [back];
    if (dns) declareLink(context, dns, id, remote.name);
  }
}

function declareLink({ naming, group }: LabContext, { zone }: PrivateDns, id: string, name: string): void {
  new privatedns.VirtualNetworkLink(naming.of("pdnslink", name), {
    resourceGroupName: group.name,
    privateZoneName: zone.name,
    virtualNetworkLinkName: naming.of("pdnslink", name),
    location: "Global",
    virtualNetwork: { id },
    registrationEnabled: false,
    tags: naming.tags,
  });
}

/** @param id as the schema accepts it: /subscriptions/<id>/resourceGroups/<group>/.../virtualNetworks/<name> */
function parseId(id: string): { readonly subscription: string; readonly group: string; readonly name: string } {
  const parts = id.split("/");
  return { subscription: parts[2]!, group: parts[4]!, name: parts.at(-1)! };
}
