import { type Properties, text } from "./properties";

const subscription = "/subscriptions/00000000-0000-0000-0000-000000000001";

/** A type of resource: its path, its required inputs, and the inputs whose change replaces it. */
export interface ResourceType {
  readonly namespace: string;
  /** Pairs of a collection in the resource's path and the input with the member's name. */
  readonly path: readonly (readonly [collection: string, input: string])[];
  readonly required: readonly string[];
  readonly fixed?: readonly string[];
  /** Belongs to the resource in its input `scope`, and gets a generated name. */
  readonly isExtension?: boolean;
  /** Inputs that Azure never returns. */
  readonly writeOnly?: readonly string[];
}

const vnet = ["virtualNetworks", "virtualNetworkName"] as const;
const server = ["flexibleServers", "serverName"] as const;
const zone = ["privateDnsZones", "privateZoneName"] as const;
const resolver = ["dnsResolvers", "dnsResolverName"] as const;
const endpoint = ["privateEndpoints", "privateEndpointName"] as const;

const [network, postgresql] = ["Microsoft.Network", "Microsoft.DBforPostgreSQL"];

/** The supported types by azure-native's token. */
export const resourceTypes: Readonly<Record<string, ResourceType>> = {
  "resources:ResourceGroup": { namespace: "", path: [], required: ["location"], fixed: ["location"] },
  "network:VirtualNetwork": { namespace: network, path: [vnet], required: ["addressSpace"], fixed: ["location"] },
  "network:Subnet": {
    namespace: network,
    path: [vnet, ["subnets", "subnetName"]],
    required: ["addressPrefix"],
  },
  "network:PublicIPAddress": {
    namespace: network,
    path: [["publicIPAddresses", "publicIpAddressName"]],
    required: ["sku", "publicIPAllocationMethod"],
    fixed: ["location", "zones"],
  },
  "network:VirtualNetworkGateway": {
    namespace: network,
    path: [["virtualNetworkGateways", "virtualNetworkGatewayName"]],
    required: ["ipConfigurations", "gatewayType", "sku", "vpnType"],
    fixed: ["gatewayType", "vpnType", "location"],
  },
  "network:PrivateEndpoint": {
    namespace: network,
    path: [endpoint],
    required: ["subnet", "privateLinkServiceConnections"],
    fixed: ["location"],
  },
  "network:PrivateDnsZoneGroup": {
    namespace: network,
    path: [endpoint, ["privateDnsZoneGroups", "privateDnsZoneGroupName"]],
    required: ["privateDnsZoneConfigs"],
  },
  "privatedns:PrivateZone": { namespace: network, path: [zone], required: ["location"], fixed: ["location"] },
  "privatedns:VirtualNetworkLink": {
    namespace: network,
    path: [zone, ["virtualNetworkLinks", "virtualNetworkLinkName"]],
    required: ["location", "virtualNetwork", "registrationEnabled"],
    fixed: ["virtualNetwork"],
  },
  "dnsresolver:DnsResolver": {
    namespace: network,
    path: [resolver],
    required: ["location", "virtualNetwork"],
    fixed: ["location", "virtualNetwork"],
  },
  "dnsresolver:InboundEndpoint": {
    namespace: network,
    path: [resolver, ["inboundEndpoints", "inboundEndpointName"]],
    required: ["location", "ipConfigurations"],
    fixed: ["location", "ipConfigurations"],
  },
  "network:NatGateway": {
    namespace: network,
    path: [["natGateways", "natGatewayName"]],
    required: ["sku", "publicIpAddresses"],
    fixed: ["location"],
  },
  "managedidentity:UserAssignedIdentity": {
    namespace: "Microsoft.ManagedIdentity",
    path: [["userAssignedIdentities", "resourceName"]],
    required: ["location"],
    fixed: ["location"],
  },
  "authorization:RoleAssignment": {
    namespace: "Microsoft.Authorization",
    path: [["roleAssignments", "roleAssignmentName"]],
    required: ["scope", "principalId", "roleDefinitionId"],
    fixed: ["scope", "principalId", "roleDefinitionId"],
    isExtension: true,
  },
  "containerinstance:ContainerGroup": {
    namespace: "Microsoft.ContainerInstance",
    path: [["containerGroups", "containerGroupName"]],
    required: ["location", "osType", "containers"],
    fixed: ["location", "osType", "restartPolicy"],
  },
  "operationalinsights:Workspace": {
    namespace: "Microsoft.OperationalInsights",
    path: [["workspaces", "workspaceName"]],
    required: ["location"],
    fixed: ["location"],
  },
  "app:ManagedEnvironment": {
    namespace: "Microsoft.App",
    path: [["managedEnvironments", "environmentName"]],
    required: ["location"],
    fixed: ["location", "vnetConfiguration"],
    // Azure returns all of it except the key of the workspace.
    writeOnly: ["appLogsConfiguration"],
  },
  "app:Job": {
    namespace: "Microsoft.App",
    path: [["jobs", "jobName"]],
    required: ["location", "environmentId", "configuration", "template"],
    fixed: ["location", "environmentId"],
  },
  "app:ContainerApp": {
    namespace: "Microsoft.App",
    path: [["containerApps", "containerAppName"]],
    required: ["location", "managedEnvironmentId", "configuration", "template"],
    fixed: ["location", "managedEnvironmentId"],
  },
  "dbforpostgresql:Server": {
    namespace: postgresql,
    path: [server],
    required: ["location", "sku", "storage", "version", "administratorLogin", "administratorLoginPassword"],
    fixed: ["location", "administratorLogin", "network.delegatedSubnetResourceId"],
    writeOnly: ["administratorLoginPassword"],
  },
  "dbforpostgresql:Configuration": {
    namespace: postgresql,
    path: [server, ["configurations", "configurationName"]],
    required: ["value", "source"],
  },
  "dbforpostgresql:FirewallRule": {
    namespace: postgresql,
    path: [server, ["firewallRules", "firewallRuleName"]],
    required: ["startIpAddress", "endIpAddress"],
  },
  "dbforpostgresql:AdministratorsMicrosoftEntra": {
    namespace: postgresql,
    path: [server, ["administrators", "objectId"]],
    required: ["principalName", "principalType", "tenantId"],
  },
  "dbforpostgresql:Migration": {
    namespace: postgresql,
    path: [server, ["migrations", "migrationName"]],
    required: ["migrationMode", "sourceDbServerResourceId", "secretParameters", "dbsToMigrate"],
    fixed: ["migrationMode"],
    writeOnly: ["secretParameters"],
  },
};

/** The resource's id in Azure Resource Manager. */
export function resourceId(token: string, inputs: Properties): string {
  const { namespace, path, isExtension } = resourceTypes[token]!;
  if (isExtension) {
    const [collection, input] = path[0]!;
    return `${text(inputs, "scope")}/providers/${namespace}/${collection}/${text(inputs, input)}`;
  }
  const group = `${subscription}/resourceGroups/${text(inputs, "resourceGroupName")}`;
  if (path.length === 0) return group;
  return `${group}/providers/${namespace}/${path.map(([collection, input]) => `${collection}/${text(inputs, input)}`).join("/")}`;
}

/** The id of the parent, or an empty string for a resource group. */
export function parentId(token: string, id: string): string {
  const { path, isExtension } = resourceTypes[token]!;
  if (path.length === 0 || isExtension) return "";
  if (path.length === 1) return id.slice(0, id.indexOf("/providers/"));
  return id.split("/").slice(0, -2).join("/");
}

/** All required inputs: the names in the path, and those of the type. */
export function requiredInputs(token: string): readonly string[] {
  const { path, required, isExtension } = resourceTypes[token]!;
  if (isExtension) return required;
  return ["resourceGroupName", ...path.map(([, input]) => input), ...required];
}

/** Inputs whose change replaces the resource. */
export function fixedInputs(token: string): readonly string[] {
  const { path, fixed = [] } = resourceTypes[token]!;
  return ["resourceGroupName", ...path.map(([, input]) => input), ...fixed];
}
