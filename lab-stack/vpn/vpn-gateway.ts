import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as network from "@pulumi/azure-native/network";
import * as pulumi from "@pulumi/pulumi";
import { InvalidLabConfigError } from "../config/lab-config";
import type { LabConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import type { LabNetwork } from "../network/network";
import { declarePublicAddress } from "../network/public-address";

/** Declares a point-to-site VPN into the virtual network. Azure needs 30 to 45 minutes to create a gateway. */
export function declareVpnGateway(
  context: LabContext,
  { gateway: subnet }: LabNetwork,
): network.VirtualNetworkGateway | undefined {
  if (!subnet) return undefined;
  const { config, naming, group } = context;
  // A zone-redundant gateway needs a zone-redundant address.
  const address = declarePublicAddress(context, "vpn", config.vpn.zones);
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
  void pulumi.log.info("creating a VPN gateway takes 30 to 45 minutes, deleting it about 10", gateway);
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
    // IKEv2 does not support Entra.
    vpnClientProtocols: ["OpenVPN"],
    aadTenant: `https://login.microsoftonline.com/${tenant}`,
    aadAudience: vpn.audience,
    // Azure refuses tokens without the slash at the end.
    aadIssuer: `https://sts.windows.net/${tenant}/`,
  };
}

/** Returns the certificate's DER form as one line of base64, which Azure requires. @throws InvalidLabConfigError */
function rootCertificateOf({ rootCertificate, rootCertificateFile }: LabConfig["vpn"]): string {
  if (rootCertificate === undefined && !existsSync(rootCertificateFile)) {
    throw new InvalidLabConfigError([
      `vpn.rootCertificateFile: ${rootCertificateFile} does not exist, run npm run vpn-certificates, or set vpn.rootCertificate`,
    ]);
  }
  const text = rootCertificate ?? readFileSync(rootCertificateFile, "utf8");
  const isPem = text.includes("-----BEGIN");
  const key = rootCertificate === undefined ? "vpn.rootCertificateFile" : "vpn.rootCertificate";
  try {
    return new X509Certificate(isPem ? text : Buffer.from(text, "base64")).raw.toString("base64");
  } catch {
    throw new InvalidLabConfigError([`${key}: expected an X.509 certificate as PEM, or as base64 of its DER form`]);
  }
}
