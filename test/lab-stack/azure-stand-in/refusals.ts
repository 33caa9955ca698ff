import { createHash, X509Certificate } from "node:crypto";
import { contains, overlap, parseAddressRange } from "../../../lab-stack/config/address-range";
import { at, list, type Properties, text } from "./properties";

export interface StoredResource {
  readonly token: string;
  readonly id: string;
  readonly inputs: Properties;
}

/** A refused request, with Azure's error code. */
export class AzureError extends Error {
  override readonly name = "AzureError";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`Code="${code}" Message="${message}"`);
  }
}

type Resources = ReadonlyMap<string, StoredResource>;
type Rule = (resource: StoredResource, resources: Resources) => void;

/** Rules of Azure's documentation by resource type, with Azure's error codes if they are published. */
const rules: Readonly<Record<string, Rule>> = {
  "network:Subnet": checkSubnet,
  "network:VirtualNetworkGateway": checkGateway,
  "network:PrivateEndpoint": checkPrivateEndpoint,
  "privatedns:VirtualNetworkLink": checkLink,
  "dnsresolver:InboundEndpoint": checkInboundEndpoint,
  "containerinstance:ContainerGroup": checkContainerGroup,
  "dbforpostgresql:Server": checkServer,
  "dbforpostgresql:FirewallRule": checkFirewallRule,
};

/** @throws AzureError if Azure would not create or change the resource */
export function checkResource(resource: StoredResource, resources: Resources): void {
  rules[resource.token]?.(resource, resources);
}

function checkSubnet({ id, inputs }: StoredResource, resources: Resources): void {
  const vnetId = id.slice(0, id.indexOf("/subnets/"));
  const range = parseAddressRange(text(inputs, "addressPrefix"));
  const spaces = list(resources.get(vnetId)?.inputs, "addressSpace.addressPrefixes").map(String);
  if (!spaces.some((space) => contains(parseAddressRange(space), range)))
    throw new AzureError("NetcfgInvalidSubnet", `${range.address} is outside the virtual network`);
  for (const other of resources.values()) {
    if (!other.id.startsWith(`${vnetId}/subnets/`) || other.id === id) continue;
    if (overlap(parseAddressRange(text(other.inputs, "addressPrefix")), range))
      throw new AzureError("NetcfgSubnetRangesOverlap", `${range.address} overlaps the subnet ${other.id}`);
  }
}

function checkGateway({ inputs }: StoredResource, resources: Resources): void {
  const subnetId = text(inputs, "ipConfigurations.0.subnet.id");
  if (!subnetId.endsWith("/subnets/GatewaySubnet"))
    throw new AzureError("InvalidGatewaySubnetName", `a gateway's subnet must be named GatewaySubnet: ${subnetId}`);
  const name = text(inputs, "sku.name");
  if (!/^VpnGw[1-5]AZ$/.test(name))
    throw new AzureError("NonAzSkusNotAllowedForVPNGateway", `${name} is not zone-redundant`);
  const vnet = resources.get(subnetId.slice(0, subnetId.indexOf("/subnets/")));
  const pool = parseAddressRange(text(inputs, "vpnClientConfiguration.vpnClientAddressPool.addressPrefixes.0"));
  for (const space of list(vnet?.inputs, "addressSpace.addressPrefixes").map(String)) {
    if (overlap(parseAddressRange(space), pool))
      throw new AzureError("VpnClientAddressPoolOverlapsWithVirtualNetwork", `${pool.address} overlaps ${space}`);
  }
  for (const root of list(inputs, "vpnClientConfiguration.vpnClientRootCertificates")) checkCertificate(root);
}

function checkCertificate(root: unknown): void {
  const data = text(root, "publicCertData");
  try {
    if (!/^[A-Za-z0-9+/]+=*$/.test(data)) throw new Error("not in one line of base64");
    new X509Certificate(Buffer.from(data, "base64"));
  } catch {
    throw new AzureError("VpnClientRootCertificateDataInvalid", `${text(root, "name")} is not a certificate`);
  }
}

function checkPrivateEndpoint({ inputs }: StoredResource, resources: Resources): void {
  const subnet = resources.get(text(inputs, "subnet.id"));
  if (list(subnet?.inputs, "delegations").length > 0)
    throw new AzureError("PrivateEndpointCannotBeCreatedInDelegatedSubnet", `${subnet?.id ?? ""} is delegated`);
  const server = resources.get(text(inputs, "privateLinkServiceConnections.0.privateLinkServiceId"));
  if (!server || at(server.inputs, "network.delegatedSubnetResourceId") !== undefined)
    throw new AzureError("PrivateEndpointNotSupported", "a server in a virtual network has no private endpoint");
}

function checkLink({ id, inputs }: StoredResource, resources: Resources): void {
  const zoneName = (of: string) => /privateDnsZones\/([^/]+)/.exec(of)?.[1];
  const clash = [...resources.values()].find(
    (other) =>
      other.id !== id &&
      other.token === "privatedns:VirtualNetworkLink" &&
      text(other.inputs, "virtualNetwork.id") === text(inputs, "virtualNetwork.id") &&
      zoneName(other.id) === zoneName(id),
  );
  if (clash) throw new AzureError("Conflict", `the network has a link to a zone of this name: ${clash.id}`);
}

function checkInboundEndpoint({ inputs }: StoredResource, resources: Resources): void {
  const subnet = resources.get(text(inputs, "ipConfigurations.0.subnet.id"));
  if (delegationOf(subnet) !== "Microsoft.Network/dnsResolvers")
    throw new AzureError("SubnetDelegationMissing", `${subnet?.id ?? "the subnet"} is not delegated to DNS resolvers`);
  const address = parseAddressRange(`${text(inputs, "ipConfigurations.0.privateIpAddress")}/32`);
  const range = parseAddressRange(text(subnet?.inputs, "addressPrefix"));
  if (!contains(range, address) || address.bigInt() < range.offset(4).bigInt())
    throw new AzureError("PrivateIPAddressNotInSubnet", `${address.address} is not free in ${range.address}`);
}

function checkContainerGroup({ id, inputs }: StoredResource, resources: Resources): void {
  const subnet = resources.get(text(inputs, "subnetIds.0.id"));
  if (delegationOf(subnet) !== "Microsoft.ContainerInstance/containerGroups")
    throw new AzureError("SubnetMissingRequiredDelegation", `${subnet?.id ?? ""} is not delegated to container groups`);
  if (text(subnet?.inputs, "natGateway.id") === "")
    throw new AzureError("InaccessibleImage", `${subnet?.id ?? ""} has no NAT gateway to reach a registry`);
  const other = [...resources.values()].find(
    (other) =>
      other.id !== id &&
      other.token !== "containerinstance:ContainerGroup" &&
      JSON.stringify(other.inputs).includes(`"${subnet?.id ?? ""}"`),
  );
  if (other) throw new AzureError("SubnetIsNotEmpty", `${subnet?.id ?? ""} is used by ${other.id}`);
  for (const credential of list(inputs, "imageRegistryCredentials")) checkPull(credential, inputs, resources);
}

function checkPull(credential: unknown, inputs: Properties, resources: Resources): void {
  const identity = text(credential, "identity");
  if (identity === "") return;
  if (!list(inputs, "identity.userAssignedIdentities").includes(identity))
    throw new AzureError("InvalidImageRegistryCredentialType", `${identity} is not an identity of the container group`);
  const isAllowed = [...resources.values()].some(
    ({ token, inputs: grant }) =>
      token === "authorization:RoleAssignment" &&
      text(grant, "principalId") === principalOf(identity) &&
      text(grant, "roleDefinitionId").endsWith("/7f951dda-4ed3-460d-a680-43fe172d538d"),
  );
  if (!isAllowed) throw new AzureError("InaccessibleImage", `${identity} may not pull from the registry`);
}

function checkServer({ id, inputs }: StoredResource, resources: Resources): void {
  const password = text(inputs, "administratorLoginPassword");
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/].filter((kind) => kind.test(password)).length;
  if (password.length < 8 || password.length > 128 || kinds < 3)
    throw new AzureError("InvalidParameterValue", "the administrator's password is not complex enough");
  if (text(inputs, "highAvailability.mode") !== "Disabled" && text(inputs, "sku.tier") === "Burstable")
    throw new AzureError("HighAvailabilityNotSupported", "burstable servers have no high availability");
  const subnetId = text(inputs, "network.delegatedSubnetResourceId");
  if (subnetId === "") return;
  checkDelegatedSubnet(subnetId, id, resources);
  checkServersZone(text(inputs, "network.privateDnsZoneArmResourceId"), text(inputs, "serverName"), resources);
}

function checkDelegatedSubnet(subnetId: string, serverId: string, resources: Resources): void {
  if (delegationOf(resources.get(subnetId)) !== "Microsoft.DBforPostgreSQL/flexibleServers")
    throw new AzureError("SubnetNotDelegated", `${subnetId} is not delegated to flexible servers`);
  const other = [...resources.values()].find(
    (other) =>
      other.id !== serverId &&
      other.token !== "dbforpostgresql:Server" &&
      JSON.stringify(other.inputs).includes(`"${subnetId}"`),
  );
  if (other) throw new AzureError("SubnetHasOtherGuests", `${subnetId} is used by ${other.id}`);
}

function checkServersZone(zoneId: string, serverName: string, resources: Resources): void {
  const zoneName = zoneId.split("/").at(-1) ?? "";
  const isNamedRight = zoneName.endsWith(".postgres.database.azure.com");
  if (!isNamedRight || zoneName === `${serverName}.postgres.database.azure.com`)
    throw new AzureError("InvalidPrivateDnsZoneName", `${zoneName} cannot be the zone of ${serverName}`);
  const isLinked = [...resources.keys()].some((id) => id.startsWith(`${zoneId}/virtualNetworkLinks/`));
  if (!isLinked) throw new AzureError("PrivateDnsZoneNotLinked", `${zoneName} has no link to a virtual network`);
}

function checkFirewallRule({ id }: StoredResource, resources: Resources): void {
  const server = resources.get(id.slice(0, id.indexOf("/firewallRules/")));
  if (text(server?.inputs, "network.publicNetworkAccess") !== "Enabled")
    throw new AzureError("FirewallRulesNotSupported", "the server has no public access");
}

function delegationOf(subnet: StoredResource | undefined): string {
  return text(subnet?.inputs, "delegations.0.serviceName");
}

/** The id of the Entra object of an identity. */
export function principalOf(identityId: string): string {
  const digits = createHash("sha1").update(identityId).digest("hex");
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20, 32),
  ].join("-");
}

/** The name that Azure generates for a server's A record in its private zone. */
export const recordName = (serverId: string): string => createHash("sha1").update(serverId).digest("hex").slice(0, 12);
