import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { LabConfig } from "../config/lab-schema";
import type { LabContext } from "../lab-context";
import type { LabNetwork } from "../network/network";
import type { PrivateDns } from "../network/private-dns";

interface FirewallRule {
  readonly name: string;
  readonly start: pulumi.Input<string>;
  readonly end: pulumi.Input<string>;
}

export interface FlexibleServer {
  readonly server: dbforpostgresql.Server;
  readonly administratorPassword: pulumi.Output<string>;
  /** The last declared change to the server. The next change depends on it, because Azure makes one at a time. */
  readonly last: pulumi.Resource;
}

/** Declares the server, its administrators and its firewall rules, one after another. */
export function declareFlexibleServer(
  context: LabContext,
  network: LabNetwork,
  dns: PrivateDns | undefined,
  copiedRules: readonly FirewallRule[],
): FlexibleServer {
  const administratorPassword = administratorPasswordOf();
  const server = declareServer(context, administratorPassword, network, dns);
  const administrator = declareEntraAdministrator(context, server) ?? server;
  const rules = [...copiedRules, ...context.config.firewallRules, ...runnerRule(network)];
  return { server, administratorPassword, last: declareFirewallRules(context, server, rules, administrator) };
}

/** Allows the runner's containers, which connect from the address of their NAT gateway. */
function runnerRule({ natGateway }: LabNetwork): FirewallRule[] {
  if (!natGateway) return [];
  const address = natGateway.publicAddress.ipAddress.apply((known) => known!);
  return [{ name: "migration-runner", start: address, end: address }];
}

/** The secret `administratorPassword`. If it is not set, a password is generated and kept in the state. */
function administratorPasswordOf(): pulumi.Output<string> {
  const given = new pulumi.Config().getSecret("administratorPassword");
  if (given) return given;
  const generated = new random.RandomPassword("administrator-password", {
    length: 32,
    // Special characters would need quoting in URLs, connection strings and shells.
    special: false,
    minLower: 2,
    minUpper: 2,
    minNumeric: 2,
  });
  return pulumi.secret(generated.result);
}

function declareServer(
  { config, naming, group }: LabContext,
  administratorPassword: pulumi.Output<string>,
  network: LabNetwork,
  dns: PrivateDns | undefined,
): dbforpostgresql.Server {
  const { server, topology, phase } = config;
  const isMigrating = phase === "migrate";
  const declared = new dbforpostgresql.Server(
    naming.of("psql"),
    {
      resourceGroupName: group.name,
      location: group.location,
      serverName: config.serverName,
      version: server.version,
      createMode: "Default",
      administratorLogin: server.administratorLogin,
      administratorLoginPassword: administratorPassword,
      authConfig: authenticationOf(config),
      sku: isMigrating ? (server.migrationSku ?? server.sku) : server.sku,
      storage: { storageSizeGB: server.storageGb, autoGrow: "Enabled" },
      backup: { backupRetentionDays: server.backupRetentionDays, geoRedundantBackup: "Disabled" },
      // A standby would repeat every write of the migration.
      highAvailability: { mode: isMigrating ? "Disabled" : server.highAvailability },
      ...(server.availabilityZone !== undefined && { availabilityZone: server.availabilityZone }),
      network:
        topology === "private" && network.server && dns
          ? { delegatedSubnetResourceId: network.server.id, privateDnsZoneArmResourceId: dns.zone.id }
          : { publicNetworkAccess: topology === "public" ? "Enabled" : "Disabled" },
      tags: naming.tags,
    },
    {
      protect: config.protectData,
      dependsOn: dns && topology === "private" ? [dns.link] : [],
      // Azure chooses a zone if the configuration does not.
      ignoreChanges: server.availabilityZone === undefined ? ["availabilityZone"] : [],
      customTimeouts: { create: "60m", update: "60m", delete: "60m" },
    },
  );
  void pulumi.log.info("creating a server takes 5 to 15 minutes, and so does enabling its standby", declared);
  return declared;
}

function authenticationOf({ server }: LabConfig) {
  const { entraAdministrator } = server;
  if (!entraAdministrator) return { activeDirectoryAuth: "Disabled", passwordAuth: "Enabled" };
  return { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled", tenantId: entraAdministrator.tenantId };
}

function declareEntraAdministrator(
  { config, naming, group }: LabContext,
  server: dbforpostgresql.Server,
): dbforpostgresql.AdministratorsMicrosoftEntra | undefined {
  const { entraAdministrator } = config.server;
  if (!entraAdministrator) return undefined;
  return new dbforpostgresql.AdministratorsMicrosoftEntra(naming.of("psql", "entra-administrator"), {
    resourceGroupName: group.name,
    serverName: server.name,
    ...entraAdministrator,
  });
}

/** Declares rules one after another. If two have the same name, the later one wins. */
function declareFirewallRules(
  { config, naming, group }: LabContext,
  server: dbforpostgresql.Server,
  rules: readonly FirewallRule[],
  previous: pulumi.Resource,
): pulumi.Resource {
  if (config.topology !== "public") return previous;
  let last = previous;
  for (const { name, start, end } of new Map(rules.map((rule) => [rule.name, rule])).values())
    last = new dbforpostgresql.FirewallRule(
      naming.of("psql", `allow-${name}`),
      {
        resourceGroupName: group.name,
        serverName: server.name,
        firewallRuleName: name,
        startIpAddress: start,
        endIpAddress: end,
      },
      { dependsOn: [last], ...deletedWithServer(server, config) },
    );
  return last;
}

/** Skips separate deletions of resources that Azure deletes together with their server. A protected server stays. */
export const deletedWithServer = (
  server: dbforpostgresql.Server,
  { protectData }: Pick<LabConfig, "protectData">,
): pulumi.CustomResourceOptions => (protectData ? {} : { deletedWith: server });
