import * as network from "@pulumi/azure-native/network";
import type { LabContext } from "../lab-context";

/** Declares a fixed public address. @param of what it belongs to, as a part of its name: `vpn` */
export const declarePublicAddress = (
  { naming, group }: LabContext,
  of: string,
  zones: readonly string[] = [],
): network.PublicIPAddress =>
  new network.PublicIPAddress(naming.of("pip", of), {
    resourceGroupName: group.name,
    location: group.location,
    tags: naming.tags,
    publicIpAddressName: naming.of("pip", of),
    sku: { name: "Standard", tier: "Regional" },
    publicIPAllocationMethod: "Static",
    ...(zones.length > 0 && { zones: [...zones] }),
  });
