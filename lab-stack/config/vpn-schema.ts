import { z } from "zod";
import { tenantId, zone } from "./scalar-schemas";
import { expected } from "./schema-messages";

export const vpnSchema = z.strictObject({
  /** Default: true, except for a public server. */
  enabled: z.boolean().optional(),
  sku: z
    .enum(
      ["VpnGw1AZ", "VpnGw2AZ", "VpnGw3AZ", "VpnGw4AZ", "VpnGw5AZ"],
      expected("a zone-redundant SKU, VpnGw1AZ to VpnGw5AZ: Azure offers no other for new gateways"),
    )
    .default("VpnGw1AZ"),
  /** Availability zones of the gateway's address. Empty for a region without zones. */
  zones: z.array(zone).default(["1", "2", "3"]),
  authentication: z.enum(["certificate", "entra"]).default("certificate"),
  /** The root certificate as PEM, or as base64 of its DER form. */
  rootCertificate: z.string().optional(),
  /** A file with the root certificate. Used without `rootCertificate`. */
  rootCertificateFile: z.string().default("certificates/vpn-root.pem"),
  /** The VPN device on premises, in front of `addressPlan.onPremises`. The secret vpnSharedKey is its key. */
  siteToSite: z.strictObject({ address: z.ipv4(expected("the public IPv4 address of the device")) }).optional(),
  tenantId: tenantId.optional(),
  /** Default: the application of Azure VPN Client that Microsoft registered for all tenants. */
  audience: z.guid(expected("the id of an Entra application")).default("c632b3df-fb67-4d84-bdcf-b95ad541b5c8"),
});
