import * as network from "@pulumi/azure-native/network";
import type { LabContext } from "../lab-context";

type Rule = Parameters<typeof allow>[0];

/**
 * Declares the security group of the server's subnet. It allows what flexible servers need: PostgreSQL and PgBouncer from the
 * virtual network, its peers and its VPN, and Azure's storage and Entra. `VirtualNetwork` contains all of these networks.
 *
 * @see https://learn.microsoft.com/en-us/azure/postgresql/network/concepts-networking-private
 */
export function declareServerSecurityGroup({ naming, group }: LabContext): network.NetworkSecurityGroup {
  const rules: readonly Rule[] = [
    { name: "postgresql-in", direction: "Inbound", to: "VirtualNetwork", ports: ["5432", "6432"] },
    // Any protocol: the resolver in the network answers DNS over UDP.
    { name: "network-out", direction: "Outbound", to: "VirtualNetwork", ports: ["*"], protocol: "*" },
    { name: "storage-out", direction: "Outbound", to: "Storage", ports: ["443"] },
    { name: "entra-out", direction: "Outbound", to: "AzureActiveDirectory", ports: ["443"] },
  ];
  return new network.NetworkSecurityGroup(naming.of("nsg", "server"), {
    resourceGroupName: group.name,
    location: group.location,
    networkSecurityGroupName: naming.of("nsg", "server"),
    securityRules: [
      ...rules.map((rule, index) => ({ ...allow(rule), priority: 100 + 10 * index })),
      ...(["Inbound", "Outbound"] as const).map((direction) => ({
        ...allow({ name: `other-${direction.toLowerCase()}`, direction, to: "*", ports: ["*"] }),
        ...{ sourceAddressPrefix: "*", protocol: "*", access: "Deny", priority: 4000 },
      })),
    ],
    tags: naming.tags,
  });
}

const allow = ({
  name,
  direction,
  to,
  ports,
  protocol = "Tcp",
}: {
  readonly name: string;
  readonly direction: "Inbound" | "Outbound";
  readonly to: string;
  readonly ports: readonly string[];
  readonly protocol?: string;
}) => ({
  ...{ name, direction, access: "Allow", protocol },
  ...{ sourceAddressPrefix: "VirtualNetwork", sourcePortRange: "*" },
  ...{ destinationAddressPrefix: to, destinationPortRanges: [...ports] },
});
