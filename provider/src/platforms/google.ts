import { assignment, overIpv4, type Platform, type ServerParameter, withLevelSwitch } from "./platform.js";

/** `--database-flags` and `--authorized-networks` reset every value that they do not contain. */
const merged = (read: string, write: string): string[] => [
  `read the present values, because the next command resets those that it does not contain: ${read}`,
  write,
];

const flags = (parameters: readonly ServerParameter[], level: string): string =>
  `--database-flags=${withLevelSwitch(parameters, { name: level, value: "on" })
    .map(assignment)
    .join(",")},<present flags>`;

const cloudSqlPresent = (field: string): string => `gcloud sql instances describe <instance> --format="json(${field})"`;

/**
 * Commands of Cloud SQL. Setting a flag restarts the instance.
 *
 * @see https://cloud.google.com/sql/docs/postgres/flags
 */
export const cloudSql: Platform = {
  name: "Cloud SQL",
  sourceTypes: ["GCP_CloudSQL", "GCP"],
  recognizedBy: "parameters `cloudsql.*`, or the role `cloudsqlsuperuser`",
  set: (parameters) =>
    merged(
      cloudSqlPresent("settings.databaseFlags"),
      `gcloud sql instances patch <instance> ${flags(parameters, "cloudsql.logical_decoding")}`,
    ),
  grantReplication: (role) => `ALTER USER ${role} WITH REPLICATION`,
  allow: overIpv4(({ address }) =>
    merged(
      cloudSqlPresent("settings.ipConfiguration.authorizedNetworks"),
      `gcloud sql instances patch <instance> --authorized-networks=${address},<present networks>`,
    ),
  ),
  host: "the instance's IP address, not that of managed connection pooling",
  systemSchemas: ["google_vacuum_mgmt"],
  systemRoles: ["cloudsqladmin", "cloudsqlagent", "cloudsqlsuperuser", "cloudsqlreplica", "cloudsqlimportexport"],
  documentation: [
    "https://cloud.google.com/sql/docs/postgres/replication/configure-logical-replication",
    "https://cloud.google.com/sql/docs/postgres/flags",
  ],
};

const instance = "<instance> --cluster=<cluster> --region=<region>";
const alloyDbPresent = (field: string): string =>
  `gcloud alloydb instances describe ${instance} --format="json(${field})"`;

/**
 * Commands of AlloyDB. Setting a flag restarts the instance if the flag requires it.
 *
 * @see https://cloud.google.com/alloydb/docs/instance-configure-database-flags
 */
export const alloyDb: Platform = {
  name: "AlloyDB",
  sourceTypes: ["GCP_AlloyDB"],
  recognizedBy: "parameters `alloydb.*`, or the role `alloydbsuperuser`",
  set: (parameters) =>
    merged(
      alloyDbPresent("databaseFlags"),
      `gcloud alloydb instances update ${instance} ${flags(parameters, "alloydb.logical_decoding")}`,
    ),
  grantReplication: (role) => `ALTER USER ${role} WITH REPLICATION`,
  allow: overIpv4(({ address }) =>
    merged(
      alloyDbPresent("networkConfig.authorizedExternalNetworks"),
      `gcloud alloydb instances update ${instance} --authorized-external-networks=${address},<present networks>`,
    ),
  ),
  sharedBuffersShare: 0.8,
  host: "the primary instance's IP address; AlloyDB has no host name",
  systemSchemas: ["google_vacuum_mgmt"],
  systemRoles: ["alloydbadmin", "alloydbagent", "alloydbsuperuser", "alloydbreplica", "alloydbimportexport"],
  documentation: ["https://cloud.google.com/alloydb/docs/instance-configure-database-flags"],
};
