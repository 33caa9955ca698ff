import { type Access, isIpv6, needsRestart, type Platform, type ServerParameter, withLevelSwitch } from "./platform.js";

/** A default parameter group cannot be modified, so the server needs a group of its own. */
function setInGroup(parameters: readonly ServerParameter[], kind: "db" | "db-cluster", family: string): string[] {
  const group = `--${kind}-parameter-group-name <group>`;
  const server =
    kind === "db" ? "db-instance --db-instance-identifier <instance>" : "db-cluster --db-cluster-identifier <cluster>";
  const values = withLevelSwitch(parameters, { name: "rds.logical_replication", value: "1" }).map(
    ({ name, value }) =>
      `"ParameterName=${name},ParameterValue=${value},ApplyMethod=${needsRestart([{ name, value }]) ? "pending-reboot" : "immediate"}"`,
  );
  return [
    `if the server has a default parameter group, which cannot be modified: aws rds create-${kind}-parameter-group ${group} --db-parameter-group-family <family of the version, such as ${family}> --description migration, then aws rds modify-${server} ${group} --apply-immediately`,
    `aws rds modify-${kind}-parameter-group ${group} --parameters ${values.join(" ")}`,
  ];
}

/**
 * The command that opens a security group. Its option --cidr accepts only IPv4 addresses.
 *
 * @example
 * ```ts
 * openSecurityGroup("<security group>", { address: "203.0.113.7/32", port: 5432, role: "reader" });
 * ```
 */
export function openSecurityGroup(group: string, { address, port }: Access): string {
  const source = isIpv6(address)
    ? `--ip-permissions 'IpProtocol=tcp,FromPort=${port},ToPort=${port},Ipv6Ranges=[{CidrIpv6=${address}}]'`
    : `--protocol tcp --port ${port} --cidr ${address}`;
  return `aws ec2 authorize-security-group-ingress --group-id ${group} ${source}`;
}

const shared = {
  grantReplication: (role: string) => `GRANT rds_replication TO ${role}`,
  allow: (access) => [openSecurityGroup("<security group of the server>", access)],
  systemSchemas: [],
  systemRoles: ["rdsadmin", "rds_superuser", "rds_replication", "rds_password", "rds_iam", "rds_ad"],
} as const satisfies Partial<Platform>;

/**
 * Commands of Amazon RDS for PostgreSQL.
 *
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
 */
export const amazonRds: Platform = {
  ...shared,
  name: "Amazon RDS",
  sourceTypes: ["AWS_RDS", "AWS"],
  recognizedBy: "parameters `rds.*`, or the role `rds_superuser`",
  set: (parameters) => setInGroup(parameters, "db", "postgres16"),
  restart: "aws rds reboot-db-instance --db-instance-identifier <instance>",
  host: "the instance's endpoint, not that of an RDS Proxy",
  documentation: [
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.LogicalReplication.html",
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html",
  ],
};

/**
 * Commands of Amazon Aurora. Its replication parameters belong to the cluster's parameter group.
 *
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Replication.Logical.Configure.html
 */
export const amazonAurora: Platform = {
  ...shared,
  name: "Amazon Aurora",
  sourceTypes: ["AWS_AURORA"],
  recognizedBy: "the function `aurora_version()`",
  set: (parameters) => setInGroup(parameters, "db-cluster", "aurora-postgresql16"),
  restart: "aws rds reboot-db-instance --db-instance-identifier <writer instance>",
  sharedBuffersShare: 0.75,
  host: "the cluster's writer endpoint, not the reader endpoint or that of an RDS Proxy",
  documentation: [
    "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Replication.Logical.Configure.html",
  ],
};
