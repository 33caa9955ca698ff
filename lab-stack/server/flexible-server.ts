import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { LabConfig } from "../lab-config";
import type { LabNetwork, Place } from "../network/network";
import type { PrivateDns } from "../network/private-dns";

interface FirewallRule {
  readonly name: string;
  readonly start: pulumi.Input<string>;
  readonly end: pulumi.Input<string>;
}

export interface FlexibleServer {
  readonly server: dbforpostgresql.Server;
  readonly administratorPassword: pulumi.Output<string>;
  /** The last change to the server so far; the next one waits for it, since Azure does one at a time. */
  readonly last: pulumi.Resource;
}

/** The server with its network, and those who may connect: administrators and firewall rules, one after another. */
export function declareFlexibleServer(
  place: Place,
  network: LabNetwork,
  dns: PrivateDns | undefined,
  inheritedRules: readonly FirewallRule[],
): FlexibleServer {
  const administratorPassword = administratorPasswordOf();
  const server = declareServer(place, administratorPassword, network, dns);
  const administrator = declareEntraAdministrator(place, server) ?? server;
  const rules = [...inheritedRules, ...place.config.firewallRules, ...runnerRule(network)];
  return { server, administratorPassword, last: declareFirewallRules(place, server, rules, administrator) };
}

/** Lets the runner's containers in, by the address of their way out. */
function runnerRule({ wayOut }: LabNetwork): FirewallRule[] {
  if (!wayOut) return [];
  const address = wayOut.address.ipAddress.apply((known) => known!);
  return [{ name: "migration-runner", start: address, end: address }];
}

/** The secret `administratorPassword` of the configuration, otherwise a generated one that the state keeps. */
function administratorPasswordOf(): pulumi.Output<string> {
  const given = new pulumi.Config().getSecret("administratorPassword");
  if (given) return given;
  const generated = new random.RandomPassword("administrator-password", {
    length: 32,
    // Without characters that would have to be escaped in URLs, connection strings and shells.
    special: false,
    minLower: 2,
    minUpper: 2,
    minNumeric: 2,
  });
  return pulumi.secret(generated.result);
}

function declareServer(
  { config, naming, group }: Place,
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
      // A standby would have to repeat everything that the migration writes.
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
      // Azure picks a zone where none is asked for.
      ignoreChanges: server.availabilityZone === undefined ? ["availabilityZone"] : [],
      customTimeouts: { create: "60m", update: "60m", delete: "60m" },
    },
  );
  void pulumi.log.info("a new server takes 5 to 15 minutes, and so does switching its standby on", declared);
  return declared;
}

function authenticationOf({ server }: LabConfig) {
  const { entraAdministrator } = server;
  if (!entraAdministrator) return { activeDirectoryAuth: "Disabled", passwordAuth: "Enabled" };
  return { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled", tenantId: entraAdministrator.tenantId };
}

function declareEntraAdministrator(
  { config, naming, group }: Place,
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

/** One after another behind what came before; a later rule of a name takes the place of an earlier one. */
function declareFirewallRules(
  { config, naming, group }: Place,
  server: dbforpostgresql.Server,
  rules: readonly FirewallRule[],
  before: pulumi.Resource,
): pulumi.Resource {
  if (config.topology !== "public") return before;
  let last = before;
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
      { dependsOn: [last], ...goingWith(server, config) },
    );
  return last;
}

/** What belongs to a server is not deleted one by one before it; unless the server stays, since it is protected. */
export const goingWith = (
  server: dbforpostgresql.Server,
  { protectData }: Pick<LabConfig, "protectData">,
): pulumi.CustomResourceOptions => (protectData ? {} : { deletedWith: server });
