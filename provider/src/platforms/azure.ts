import { alterRoleReplication, overIpv4, type Platform, withoutPrefixLength } from "./platform.js";

const addressRange = (address: string): string =>
  `--start-ip-address ${withoutPrefixLength(address)} --end-ip-address ${withoutPrefixLength(address)}`;

const systemRoles = ["azuresu", "azure_superuser", "azure_pg_admin", "replication"];

/**
 * Commands of Azure Database for PostgreSQL single server. One switch sets wal_level and the numbers of slots and senders.
 *
 * @see https://learn.microsoft.com/en-us/cli/azure/postgres/server
 */
export const azureSingleServer: Platform = {
  name: "Azure Database for PostgreSQL single server",
  sourceTypes: ["PostgreSQLSingleServer"],
  recognizedBy: "the role `azure_pg_admin`, and Windows in `version()`",
  set: (parameters) => {
    const replication = ["wal_level", "max_replication_slots", "max_wal_senders"];
    const others = parameters.filter(({ name }) => !replication.includes(name));
    const settings =
      others.length < parameters.length ? [{ name: "azure.replication_support", value: "logical" }, ...others] : others;
    return settings.map(
      ({ name, value }) =>
        `az postgres server configuration set --resource-group <group> --server-name <server> --name ${name} --value ${value}`,
    );
  },
  restart: "az postgres server restart --resource-group <group> --name <server>",
  grantReplication: alterRoleReplication,
  allow: overIpv4(({ address }) => [
    `az postgres server firewall-rule create --resource-group <group> --server-name <server> --name pg-migration ${addressRange(address)}`,
  ]),
  host: "<server>.postgres.database.azure.com, and the role as <role>@<server>",
  systemSchemas: [],
  systemRoles,
  documentation: ["https://learn.microsoft.com/en-us/cli/azure/postgres/server"],
};

/**
 * Commands of Azure Database for PostgreSQL flexible server.
 *
 * @see https://learn.microsoft.com/en-us/cli/azure/postgres/flexible-server
 */
export const azureFlexibleServer: Platform = {
  name: "Azure Database for PostgreSQL flexible server",
  sourceTypes: ["PostgreSQLFlexibleServer"],
  recognizedBy: "parameters `azure.*`, or the role `azure_pg_admin`",
  set: (parameters) =>
    parameters.map(
      ({ name, value }) =>
        `az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name ${name} --value ${value}`,
    ),
  restart: "az postgres flexible-server restart --resource-group <group> --name <server>",
  grantReplication: alterRoleReplication,
  allow: overIpv4(({ address }) => [
    `az postgres flexible-server firewall-rule create --resource-group <group> --server-name <server> --name pg-migration ${addressRange(address)}`,
    "if this az does not accept --server-name (up to 2.86): the same with --name <server> --rule-name pg-migration",
    "for a server with private access, open its network security group instead",
  ]),
  host: "<server>.postgres.database.azure.com and port 5432, not 6432 of its PgBouncer",
  systemSchemas: ["azure", "pgaadauth"],
  systemRoles,
  documentation: [
    "https://learn.microsoft.com/en-us/cli/azure/postgres/flexible-server/parameter",
    "https://learn.microsoft.com/en-us/cli/azure/postgres/flexible-server/firewall-rule",
  ],
};

/**
 * Commands of Azure Cosmos DB for PostgreSQL. Only the coordinator accepts connections of a migration.
 *
 * @see https://learn.microsoft.com/en-us/cli/azure/cosmosdb/postgres
 */
export const cosmosDb: Platform = {
  name: "Azure Cosmos DB for PostgreSQL",
  sourceTypes: ["PostgreSQLCosmosDB"],
  recognizedBy: "parameters `citus.*` and the role `citus`",
  set: (parameters) =>
    parameters.map(
      ({ name, value }) =>
        `az cosmosdb postgres configuration coordinator update --resource-group <group> --cluster-name <cluster> --configuration-name ${name} --value ${value}`,
    ),
  restart: "az cosmosdb postgres cluster restart --resource-group <group> --cluster-name <cluster>",
  grantReplication: alterRoleReplication,
  allow: overIpv4(({ address }) => [
    `az cosmosdb postgres firewall-rule create --resource-group <group> --cluster-name <cluster> --name pg-migration ${addressRange(address)}`,
  ]),
  host: "the coordinator c-<cluster>.<id>.postgres.cosmos.azure.com and port 5432, not 6432 of its PgBouncer",
  systemSchemas: ["citus", "citus_internal", "columnar"],
  systemRoles: ["azure_superuser", "azure_pg_admin", "replication"],
  documentation: [
    "https://learn.microsoft.com/en-us/cli/azure/cosmosdb/postgres/configuration/coordinator",
    "https://learn.microsoft.com/en-us/cli/azure/cosmosdb/postgres/firewall-rule",
  ],
};
