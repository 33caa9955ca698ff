import * as compute from "@pulumi/azure-native/compute";
import * as network from "@pulumi/azure-native/network";
import { firstUsableAddress } from "../config/address-plan";
import type { LabContext } from "../lab-context";
import { sourcePassword } from "../migration/migration-inputs";
import type { LabNetwork } from "../network/network";
import { declarePublicAddress } from "../network/public-address";
import { cloudInit } from "./cloud-init";

export interface SourceServer {
  readonly host: string;
  readonly machine: compute.VirtualMachine;
}

/** Declares a virtual machine with PostgreSQL in the subnet `source`, if the configuration has `sourceServer`. */
export function declareSourceServer(context: LabContext, { source: subnet }: LabNetwork): SourceServer | undefined {
  const { config, naming, group } = context;
  const { sourceServer, addressPlan } = config;
  if (!sourceServer || !subnet || addressPlan.source === undefined) return undefined;
  const host = firstUsableAddress(addressPlan.source);
  const clients = [addressPlan.virtualNetwork, addressPlan.vpnClients];
  const userData = sourcePassword().apply((password) => Buffer.from(cloudInit(password, clients)).toString("base64"));
  const machine = new compute.VirtualMachine(
    naming.of("vm", "source"),
    {
      resourceGroupName: group.name,
      location: group.location,
      vmName: naming.of("vm", "source"),
      hardwareProfile: { vmSize: sourceServer.size },
      storageProfile: {
        imageReference: { publisher: "Canonical", offer: "ubuntu-24_04-lts", sku: "server", version: "latest" },
        osDisk: {
          createOption: "FromImage",
          diskSizeGB: 64,
          deleteOption: "Delete",
          managedDisk: { storageAccountType: "Premium_LRS" },
        },
      },
      osProfile: {
        computerName: "source",
        adminUsername: "lab",
        customData: userData,
        linuxConfiguration: {
          disablePasswordAuthentication: true,
          ssh: { publicKeys: [{ keyData: sourceServer.sshPublicKey, path: "/home/lab/.ssh/authorized_keys" }] },
        },
      },
      networkProfile: { networkInterfaces: [{ id: declareInterface(context, subnet, host).id, primary: true }] },
      tags: naming.tags,
    },
    // It runs once. Azure refuses to change it, and a new machine would lose the data.
    { ignoreChanges: ["osProfile.customData"] },
  );
  return { host, machine };
}

/** A fixed address, and a public one through which the machine downloads its packages. */
function declareInterface(
  context: LabContext,
  subnet: network.Subnet,
  privateIPAddress: string,
): network.NetworkInterface {
  const { naming, group } = context;
  const common = { resourceGroupName: group.name, location: group.location, tags: naming.tags };
  const address = declarePublicAddress(context, "source");
  // Azure's default rules admit the virtual network, its peers and its VPN, and nothing from the internet.
  const securityGroup = new network.NetworkSecurityGroup(naming.of("nsg", "source"), {
    ...common,
    networkSecurityGroupName: naming.of("nsg", "source"),
  });
  return new network.NetworkInterface(naming.of("nic", "source"), {
    ...common,
    networkInterfaceName: naming.of("nic", "source"),
    networkSecurityGroup: { id: securityGroup.id },
    ipConfigurations: [
      {
        name: "default",
        privateIPAllocationMethod: "Static",
        privateIPAddress,
        publicIPAddress: { id: address.id },
        subnet: { id: subnet.id },
      },
    ],
  });
}
