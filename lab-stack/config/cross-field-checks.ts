import { Address4 } from "ip-address";
import { checkAddressPlan } from "./address-plan";
import { preloadLibraries } from "./azure-extensions";
import type { ConfigFailure } from "./config-failure";
import type { LabConfig } from "./lab-schema";
import { checkRoute } from "./routes";
import { checkZoneName } from "./zone-name";

interface Rule extends ConfigFailure {
  readonly isBroken: (config: LabConfig) => boolean;
}

/** The name of a server is unique in all of Azure, and a label in its zone (Azure, "Naming rules and restrictions"). */
const serverName = /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/;

/** Microsoft's service migrates at most this many databases at once. */
const maxDatabasesOfAzure = 8;

const systemDatabases = ["azure_sys", "azure_maintenance"];

const serverRules: readonly Rule[] = [
  {
    key: "server.name",
    isBroken: (config) => !serverName.test(config.serverName),
    message:
      "is missing, and the names of the lab and the stack do not form a valid one, expected 3 to 63 lower-case letters, digits and hyphens",
  },
  {
    key: "server.storageGb",
    isBroken: ({ server }) => server.storageGb < 1.25 * server.sourceSizeGb,
    message: "a migration needs at least 1.25 x server.sourceSizeGb, choose the next larger size",
  },
  {
    key: "server.highAvailability",
    isBroken: ({ server }) => server.highAvailability !== "Disabled" && server.sku.tier === "Burstable",
    message: "burstable servers have no standby, use Disabled or another server.sku.tier",
  },
  {
    key: "parameters.more.azure.extensions",
    isBroken: ({ parameters }) => "azure.extensions" in parameters.more,
    message: "the lab sets this parameter, list the extensions in parameters.extensions",
  },
  {
    key: "parameters.more.wal_level",
    isBroken: ({ parameters: { isSource, more } }) => isSource && (more.wal_level ?? "logical") !== "logical",
    message: "parameters.isSource needs wal_level = logical, remove one of the two",
  },
  {
    key: "parameters.more.shared_preload_libraries",
    isBroken: ({ parameters: { extensions, more } }) => {
      const given = more.shared_preload_libraries?.split(",").map((name) => name.trim());
      const required = extensions.flatMap((name) => preloadLibraries[name] ?? []);
      return given !== undefined && !required.every((library) => given.includes(library));
    },
    message: "the list lacks a library that parameters.extensions needs, add it, or remove this parameter",
  },
];

const networkRules: readonly Rule[] = [
  {
    key: "privateDnsZone",
    isBroken: ({ privateDnsZone, topology }) => privateDnsZone !== undefined && topology !== "private",
    message: "only topology private has a zone with a name of your choice, remove it",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules }) =>
      firewallRules.some(({ start, end }) => new Address4(start).bigInt() > new Address4(end).bigInt()),
    message: "a range ends before it starts, swap start and end",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules }) => hasDuplicates(firewallRules.map(({ name }) => name)),
    message: "two rules have the same name, rename one",
  },
  {
    key: "firewallRules",
    isBroken: ({ firewallRules, topology }) => firewallRules.length > 0 && topology !== "public",
    message: "only a public server has firewall rules, use network security groups, or topology public",
  },
  {
    key: "vpn.tenantId",
    isBroken: ({ vpn }) => vpn.enabled && vpn.authentication === "entra" && vpn.tenantId === undefined,
    message: "is missing, Entra authentication needs the id of the tenant",
  },
  {
    key: "vpn.siteToSite",
    isBroken: ({ vpn }) => vpn.siteToSite !== undefined && !vpn.enabled,
    message: "needs the VPN gateway, set vpn.enabled to true",
  },
  {
    key: "addressPlan.onPremises",
    isBroken: ({ vpn, addressPlan }) => vpn.siteToSite !== undefined && addressPlan.onPremises.length === 0,
    message: "is empty, a site-to-site VPN needs the networks on premises",
  },
  {
    key: "securityGroup",
    isBroken: ({ securityGroup, topology }) => securityGroup && topology !== "private",
    message: "only a server with topology private is in a subnet of its own, remove it",
  },
  {
    key: "vpn.enabled",
    isBroken: ({ vpn, topology }) => vpn.enabled && topology === "public",
    message: "a public server is not in the virtual network and cannot be reached over VPN, remove it",
  },
];

const migrationRules: readonly Rule[] = [
  {
    key: "migration.databases",
    isBroken: ({ migration }) =>
      migration?.engine === "azure" && migration.databases.some((name) => /^!|\*/.test(name)),
    message:
      "Microsoft's service takes names only, list the databases (pg-migration databases), or use engine embedded",
  },
  {
    key: "migration.triggerCutover",
    isBroken: ({ migration }) => migration?.triggerCutover === true && migration.mode === "Offline",
    message: "an offline migration has no cutover, remove it, or set migration.mode to Online",
  },
  {
    key: "migration.dbsToTriggerCutoverOn",
    isBroken: ({ migration }) => !isSubset(migration?.dbsToTriggerCutoverOn, migration?.databases),
    message: "contains a database that is not in migration.databases",
  },
  {
    key: "migration.dbsToCancelMigrationOn",
    isBroken: ({ migration }) => !isSubset(migration?.dbsToCancelMigrationOn, migration?.databases),
    message: "contains a database that is not in migration.databases",
  },
  {
    key: "migration.databases",
    isBroken: ({ migration }) => hasDuplicates(migration?.databases ?? []),
    message: "a database is listed twice",
  },
  {
    key: "migration.databases",
    isBroken: ({ migration }) => migration?.databases.some((name) => systemDatabases.includes(name)) === true,
    message: `${systemDatabases.join(" and ")} belong to Azure and cannot be migrated, remove them`,
  },
  {
    key: "migration.databases",
    isBroken: ({ migration }) => migration?.engine === "azure" && migration.databases.length > maxDatabasesOfAzure,
    message: `Microsoft's service migrates at most ${maxDatabasesOfAzure} databases at once, use several migrations, or engine embedded`,
  },
  {
    key: "migration.source.sslMode",
    isBroken: ({ migration }) => migration?.engine === "azure" && migration.source.sslMode === "Disable",
    message: "Microsoft's service cannot disable TLS, use Prefer, which falls back to an unencrypted connection",
  },
  {
    key: "migration.runner",
    isBroken: ({ migration }) => migration?.worker === "container" && migration.runner === undefined,
    message: "is missing, a worker in a container needs migration.runner.image",
  },
  {
    key: "migration.runner",
    isBroken: ({ migration }) => migration?.runner !== undefined && migration.worker !== "container",
    message: "only a worker in a container uses it, set migration.worker to container, or remove it",
  },
  {
    key: "migration.worker",
    isBroken: ({ migration }) => migration?.worker === "container" && migration.engine === "azure",
    message: "Microsoft's service has no worker of ours, remove it, or set migration.engine to embedded",
  },
  {
    key: "migration.runner.registryUser",
    isBroken: ({ migration }) =>
      migration?.runner?.registryUser !== undefined && migration.runner.registry !== undefined,
    message: "the runner's identity pulls from migration.runner.registry, remove one of the two",
  },
];

/** Returns the failures that concern more than one key, or a rule of Azure that a schema cannot express. */
export function crossFieldChecks(config: LabConfig): ConfigFailure[] {
  return [
    ...checkAddressPlan(config.addressPlan),
    ...(config.topology === "public" ? [] : checkZoneName(config.zoneName, config.serverName)),
    ...[...serverRules, ...networkRules, ...migrationRules].filter(({ isBroken }) => isBroken(config)),
    ...(config.phase === "migrate" ? checkRoute(config) : []),
  ];
}

const hasDuplicates = (names: readonly string[]): boolean => new Set(names).size < names.length;

const isSubset = (names: readonly string[] = [], all: readonly string[] = []): boolean =>
  names.every((name) => all.includes(name));
