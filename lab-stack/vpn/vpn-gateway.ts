import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as network from "@pulumi/azure-native/network";
import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfig, type LabConfig } from "../lab-config";
import type { LabNetwork, Place } from "../network/network";

/** Point-to-site VPN into the lab's network. Azure takes 30 to 45 minutes for a gateway. */
export function declareVpnGateway(
  { config, naming, group }: Place,
  { gateway: subnet }: LabNetwork,
): network.VirtualNetworkGateway | undefined {
  if (!subnet) return undefined;
  const address = new network.PublicIPAddress(naming.of("pip", "vpn"), {
    resourceGroupName: group.name,
    location: group.location,
    publicIpAddressName: naming.of("pip", "vpn"),
    sku: { name: "Standard", tier: "Regional" },
    publicIPAllocationMethod: "Static",
    // The gateway's SKU is zone-redundant, and its address has to be as well.
    zones: config.vpn.zones,
    tags: naming.tags,
  });
  const gateway = new network.VirtualNetworkGateway(
    naming.of("vgw"),
    {
      resourceGroupName: group.name,
      location: group.location,
      virtualNetworkGatewayName: naming.of("vgw"),
      gatewayType: "Vpn",
      vpnType: "RouteBased",
      sku: { name: config.vpn.sku, tier: config.vpn.sku },
      ipConfigurations: [
        {
          name: "default",
          privateIPAllocationMethod: "Dynamic",
          publicIPAddress: { id: address.id },
          subnet: { id: subnet.id },
        },
      ],
      vpnClientConfiguration: {
        vpnClientAddressPool: { addressPrefixes: [config.addressPlan.vpnClients] },
        ...authenticationOf(config.vpn),
      },
      tags: naming.tags,
    },
    { customTimeouts: { create: "90m", update: "90m", delete: "60m" } },
  );
  void pulumi.log.info("a new VPN gateway takes 30 to 45 minutes, and some 10 to be deleted", gateway);
  return gateway;
}

function authenticationOf(vpn: LabConfig["vpn"]) {
  if (vpn.authentication === "certificate") {
    return {
      vpnAuthenticationTypes: ["Certificate"],
      vpnClientProtocols: ["OpenVPN", "IkeV2"],
      vpnClientRootCertificates: [{ name: "lab-root", publicCertData: rootCertificateOf(vpn) }],
    };
  }
  const tenant = vpn.tenantId ?? "";
  return {
    vpnAuthenticationTypes: ["AAD"],
    // IKEv2 knows no Entra.
    vpnClientProtocols: ["OpenVPN"],
    aadTenant: `https://login.microsoftonline.com/${tenant}`,
    aadAudience: vpn.audience,
    // Azure refuses tokens when the slash is missing.
    aadIssuer: `https://sts.windows.net/${tenant}/`,
  };
}

/** Base64 of the certificate's DER form in one line, as Azure wants it. @throws InvalidLabConfig */
function rootCertificateOf({ rootCertificate, rootCertificateFile }: LabConfig["vpn"]): string {
  if (rootCertificate === undefined && !existsSync(rootCertificateFile)) {
    throw new InvalidLabConfig([
      `vpn.rootCertificateFile: there is no ${rootCertificateFile}; run npm run vpn-certificates, or give vpn.rootCertificate`,
    ]);
  }
  const text = rootCertificate ?? readFileSync(rootCertificateFile, "utf8");
  const isPem = text.includes("-----BEGIN");
  const key = rootCertificate === undefined ? "vpn.rootCertificateFile" : "vpn.rootCertificate";
  try {
    return new X509Certificate(isPem ? text : Buffer.from(text, "base64")).raw.toString("base64");
  } catch {
    throw new InvalidLabConfig([`${key}: is no X.509 certificate in PEM or base64 of DER`]);
  }
}
