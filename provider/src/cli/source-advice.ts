/** How a kind of source has its parameters set and its role allowed to replicate. */
export interface SourceAdvice {
  /** The command that sets what following needs; a restart follows. */
  readonly parameters: (wanted: { readonly slots: number; readonly senders: number }) => string;
  readonly replicationRole: (role: string) => string;
}

const own: SourceAdvice = {
  parameters: ({ slots, senders }) =>
    `ALTER SYSTEM SET wal_level = 'logical'; ALTER SYSTEM SET max_replication_slots = ${slots}; ` +
    `ALTER SYSTEM SET max_wal_senders = ${senders}; then restart the server`,
  replicationRole: (role) => `ALTER ROLE ${role} REPLICATION`,
};

const rds: SourceAdvice = {
  parameters: ({ slots, senders }) =>
    `aws rds modify-db-parameter-group --db-parameter-group-name <group> --parameters ` +
    `"ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot" ` +
    `"ParameterName=max_replication_slots,ParameterValue=${slots},ApplyMethod=pending-reboot" ` +
    `"ParameterName=max_wal_senders,ParameterValue=${senders},ApplyMethod=pending-reboot"; ` +
    `aws rds reboot-db-instance --db-instance-identifier <instance>`,
  replicationRole: (role) => `GRANT rds_replication TO ${role}`,
};

const aurora: SourceAdvice = {
  ...rds,
  parameters: ({ slots, senders }) =>
    `aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name <group> --parameters ` +
    `"ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot" ` +
    `"ParameterName=max_replication_slots,ParameterValue=${slots},ApplyMethod=pending-reboot" ` +
    `"ParameterName=max_wal_senders,ParameterValue=${senders},ApplyMethod=pending-reboot"; ` +
    `aws rds reboot-db-instance --db-instance-identifier <writer>`,
};

const cloudSql: SourceAdvice = {
  parameters: ({ slots, senders }) =>
    `gcloud sql instances patch <instance> --database-flags=cloudsql.logical_decoding=on,` +
    `max_replication_slots=${slots},max_wal_senders=${senders}`,
  replicationRole: (role) => `ALTER USER ${role} WITH REPLICATION`,
};

const alloyDb: SourceAdvice = {
  parameters: ({ slots, senders }) =>
    `gcloud alloydb instances update <instance> --cluster=<cluster> --region=<region> ` +
    `--database-flags=alloydb.logical_decoding=on,max_replication_slots=${slots},max_wal_senders=${senders}`,
  replicationRole: (role) => `ALTER USER ${role} WITH REPLICATION`,
};

const singleServer: SourceAdvice = {
  parameters: () =>
    `az postgres server configuration set --resource-group <group> --server-name <server> ` +
    `--name azure.replication_support --value logical; az postgres server restart -g <group> -n <server>`,
  replicationRole: (role) => `ALTER ROLE ${role} WITH REPLICATION`,
};

const flexibleServer: SourceAdvice = {
  parameters: ({ slots, senders }) =>
    [
      ["wal_level", "logical"],
      ["max_replication_slots", slots],
      ["max_wal_senders", senders],
    ]
      .map(
        ([name, value]) =>
          `az postgres flexible-server parameter set -g <group> -s <server> --name ${name!} --value ${value!}; `,
      )
      .join("") + `az postgres flexible-server restart -g <group> -n <server>`,
  replicationRole: (role) => `ALTER ROLE ${role} REPLICATION`,
};

const byType: Readonly<Record<string, SourceAdvice>> = {
  AWS: rds,
  AWS_RDS: rds,
  AWS_AURORA: aurora,
  GCP: cloudSql,
  GCP_CloudSQL: cloudSql,
  GCP_AlloyDB: alloyDb,
  PostgreSQLSingleServer: singleServer,
  PostgreSQLFlexibleServer: flexibleServer,
};

/** Where nobody but the user runs the server, and for services whose console is the only way: what has to be true. */
export const sourceAdvice = (sourceType: string): SourceAdvice => byType[sourceType] ?? own;
