import * as dbforpostgresql from "@pulumi/azure-native/dbforpostgresql";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { LabConfig } from "./lab-config";
import type { LabNetwork, Place } from "./network";
import type { PrivateDns } from "./private-dns";

interface FirewallRule {
  readonly name: string;
  readonly start: string;
  readonly end: string;
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
  const rules = [...declareEntraAdministrator(place, server), ...declareFirewallRules(place, server, inheritedRules)];
  return { server, administratorPassword, last: rules.at(-1) ?? server };
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
): dbforpostgresql.AdministratorsMicrosoftEntra[] {
  const { entraAdministrator } = config.server;
  if (!entraAdministrator) return [];
  return [
    new dbforpostgresql.AdministratorsMicrosoftEntra(naming.of("psql", "entra-administrator"), {
      resourceGroupName: group.name,
      serverName: server.name,
      ...entraAdministrator,
    }),
  ];
}

function declareFirewallRules(
  { config, naming, group }: Place,
  server: dbforpostgresql.Server,
  inherited: readonly FirewallRule[],
): dbforpostgresql.FirewallRule[] {
  if (config.topology !== "public") return [];
  const declared: dbforpostgresql.FirewallRule[] = [];
  const rules = new Map([...inherited, ...config.firewallRules].map((rule) => [rule.name, rule]));
  for (const { name, start, end } of rules.values()) {
    const args = {
      resourceGroupName: group.name,
      serverName: server.name,
      firewallRuleName: name,
      startIpAddress: start,
      endIpAddress: end,
    };
    const previous: pulumi.Resource = declared.at(-1) ?? server;
    declared.push(
      new dbforpostgresql.FirewallRule(naming.of("psql", `allow-${name}`), args, {
        dependsOn: [previous],
        deletedWith: server,
      }),
    );
  }
  return declared;
}
