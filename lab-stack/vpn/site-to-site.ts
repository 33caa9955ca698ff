import * as network from "@pulumi/azure-native/network";
import * as pulumi from "@pulumi/pulumi";
import type { LabContext } from "../lab-context";

/** Declares the IPsec connection to the VPN device on premises, with the secret `vpnSharedKey`. */
export function declareSiteToSite(
  { config, naming, group }: LabContext,
  gateway: network.VirtualNetworkGateway | undefined,
): network.VirtualNetworkGatewayConnection | undefined {
  const { siteToSite } = config.vpn;
  if (!gateway || !siteToSite) return undefined;
  const common = { resourceGroupName: group.name, location: group.location, tags: naming.tags };
  const device = new network.LocalNetworkGateway(naming.of("lgw"), {
    ...common,
    localNetworkGatewayName: naming.of("lgw"),
    gatewayIpAddress: siteToSite.address,
    localNetworkAddressSpace: { addressPrefixes: [...config.addressPlan.onPremises] },
  });
  return new network.VirtualNetworkGatewayConnection(naming.of("con"), {
    ...common,
    virtualNetworkGatewayConnectionName: naming.of("con"),
    connectionType: "IPsec",
    connectionProtocol: "IKEv2",
    virtualNetworkGateway1: { id: gateway.id },
    localNetworkGateway2: { id: device.id },
    sharedKey: new pulumi.Config().requireSecret("vpnSharedKey"),
  });
}
