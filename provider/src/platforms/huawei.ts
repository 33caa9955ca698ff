import { alterRoleReplication, assignment, jsonOf, type Platform } from "./platform.js";

/**
 * Steps of Huawei Cloud RDS for PostgreSQL, which has an API and a console for them.
 *
 * @see https://support.huaweicloud.com/api-rds/api_rds_09_0309.html
 */
export const huaweiRds: Platform = {
  name: "Huawei Cloud RDS",
  sourceTypes: ["Huawei_RDS"],
  recognizedBy: "the role `rdsAdmin`",
  set: (parameters) => [
    `in the RDS console, Instances > <instance> > Parameters, set ${parameters.map(assignment).join(", ")}`,
    `or through the API: PUT /v3.1/<project id>/instances/<instance id>/configurations {"values":${jsonOf(parameters)}}`,
  ],
  restart: "in the RDS console, Instances > <instance> > Reboot",
  grantReplication: (role) => `as root: ${alterRoleReplication(role)}`,
  allow: ({ address, port }) => [
    `in the VPC console, add an inbound rule to the instance's security group: protocol TCP, port ${port}, source ${address}`,
  ],
  host: "the instance's floating IP address or its EIP, not the address of a database proxy",
  systemSchemas: [],
  systemRoles: ["rdsAdmin", "rdsBackup", "rdsDdm", "rdsDisaster", "rdsMetric", "rdsProxy", "rdsRepl", "root"],
  documentation: [
    "https://support.huaweicloud.com/intl/en-us/rds-pg_faq/rds_faq_0303.html",
    "https://support.huaweicloud.com/api-rds/api_rds_09_0309.html",
  ],
};
