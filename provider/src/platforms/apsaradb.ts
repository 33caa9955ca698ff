import { alterRoleReplication, jsonOf, needsRestart, type Platform } from "./platform.js";

/**
 * Commands of Alibaba Cloud ApsaraDB RDS for PostgreSQL.
 *
 * @see https://www.alibabacloud.com/help/en/rds/api-modify-parameters-of-an-apsaradb-for-rds-instance
 */
export const apsaraDb: Platform = {
  name: "ApsaraDB RDS",
  sourceTypes: ["ApsaraDB_RDS"],
  recognizedBy: "the role `pg_rds_superuser`",
  set: (parameters) => [
    `aliyun rds ModifyParameter --DBInstanceId <instance> --Forcerestart ${needsRestart(parameters)} --Parameters '${jsonOf(parameters)}'`,
  ],
  grantReplication: (role) => `as a privileged account: ${alterRoleReplication(role)}`,
  allow: ({ address }) => [
    `aliyun rds ModifySecurityIps --DBInstanceId <instance> --DBInstanceIPArrayName pg_migration --ModifyMode Append --SecurityIps ${address}`,
  ],
  host: "the instance's internal or public endpoint, not that of PgBouncer (port 6432) or of a database proxy",
  systemSchemas: [],
  systemRoles: ["alicloud_rds_admin", "aurora", "pg_rds_superuser", "replicator"],
  documentation: [
    "https://www.alibabacloud.com/help/en/rds/api-modify-parameters-of-an-apsaradb-for-rds-instance",
    "https://www.alibabacloud.com/help/en/rds/apsaradb-rds-for-postgresql/api-rds-2014-08-15-modifysecurityips-postgresql",
  ],
};
