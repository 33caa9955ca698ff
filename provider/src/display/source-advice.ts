import type { SourceType } from "../inputs/inputs.js";

/** A parameter that replication requires, and its required value. All of them need a restart. */
export interface WantedParameter {
  readonly name: "wal_level" | "max_replication_slots" | "max_wal_senders";
  readonly value: string;
}

/** How to set parameters and grant replication on a kind of source. */
export interface SourceAdvice {
  /** The command that sets them, including the restart. */
  readonly set: (parameters: readonly WantedParameter[]) => string;
  /** @param role quoted as SQL requires it */
  readonly replicationRole: (role: string) => string;
}

type Write = (name: string, value: string) => string;

/** Managed services replace `wal_level` by a switch of their own. */
const written = (
  parameters: readonly WantedParameter[],
  levelSwitch: readonly [string, string],
  write: Write,
): string[] => parameters.map(({ name, value }) => (name === "wal_level" ? write(...levelSwitch) : write(name, value)));

const own: SourceAdvice = {
  set: (parameters) =>
    `as a superuser: ${parameters.map(({ name, value }) => `ALTER SYSTEM SET ${name} = ${value}`).join("; ")}; then restart the server`,
  replicationRole: (role) => `ALTER ROLE ${role} REPLICATION`,
};

const rdsGroup = (group: string, reboot: string): SourceAdvice["set"] => {
  const parameter: Write = (name, value) =>
    `"ParameterName=${name},ParameterValue=${value},ApplyMethod=pending-reboot"`;
  return (parameters) =>
    `aws rds modify-db-${group} <group> --parameters ` +
    `${written(parameters, ["rds.logical_replication", "1"], parameter).join(" ")}; aws rds reboot-db-instance ${reboot}`;
};

const rds: SourceAdvice = {
  set: rdsGroup("parameter-group --db-parameter-group-name", "--db-instance-identifier <instance>"),
  replicationRole: (role) => `GRANT rds_replication TO ${role}`,
};

const aurora: SourceAdvice = {
  ...rds,
  set: rdsGroup("cluster-parameter-group --db-cluster-parameter-group-name", "--db-instance-identifier <writer>"),
};

const flag: Write = (name, value) => `${name}=${value}`;

const cloudSql: SourceAdvice = {
  set: (parameters) =>
    `gcloud sql instances patch <instance> ` +
    `--database-flags=${written(parameters, ["cloudsql.logical_decoding", "on"], flag).join(",")}`,
  replicationRole: (role) => `ALTER USER ${role} WITH REPLICATION`,
};

const alloyDb: SourceAdvice = {
  ...cloudSql,
  set: (parameters) =>
    `gcloud alloydb instances update <instance> --cluster=<cluster> --region=<region> ` +
    `--database-flags=${written(parameters, ["alloydb.logical_decoding", "on"], flag).join(",")}`,
};

const singleServer: SourceAdvice = {
  // The switch also sets the numeric parameters.
  set: () =>
    `az postgres server configuration set --resource-group <group> --server-name <server> ` +
    `--name azure.replication_support --value logical; az postgres server restart -g <group> -n <server>`,
  replicationRole: (role) => `ALTER ROLE ${role} WITH REPLICATION`,
};

const flexibleServer: SourceAdvice = {
  set: (parameters) =>
    parameters
      .map(
        ({ name, value }) =>
          `az postgres flexible-server parameter set -g <group> -s <server> --name ${name} --value ${value}; `,
      )
      .join("") + `az postgres flexible-server restart -g <group> -n <server>`,
  replicationRole: (role) => `ALTER ROLE ${role} REPLICATION`,
};

const byType: Partial<Record<SourceType, SourceAdvice>> = {
  AWS: rds,
  AWS_RDS: rds,
  AWS_AURORA: aurora,
  GCP: cloudSql,
  GCP_CloudSQL: cloudSql,
  GCP_AlloyDB: alloyDb,
  PostgreSQLSingleServer: singleServer,
  PostgreSQLFlexibleServer: flexibleServer,
};

/** States the required values if the user runs the server, or if the service can only be configured in its console. */
export const sourceAdvice = (sourceType: SourceType | undefined): SourceAdvice =>
  (sourceType === undefined ? undefined : byType[sourceType]) ?? own;
