import { alterRoleReplication, assignment, type Platform } from "./platform.js";

/**
 * Commands of Crunchy Bridge. wal_level is logical by default, with 10 slots and senders.
 *
 * @see https://docs.crunchybridge.com/how-to/logical-replication
 */
export const crunchyBridge: Platform = {
  name: "Crunchy Bridge",
  sourceTypes: ["Crunchy_PostgreSQL"],
  recognizedBy: "the role `crunchy_superuser`",
  set: (parameters) => [`cb config-param set --cluster <cluster id> ${parameters.map(assignment).join(" ")}`],
  restart: "cb restart <cluster id> --confirm",
  grantReplication: (role) => `as the role postgres: ${alterRoleReplication(role)}`,
  allow: ({ address }) => [`cb network add-firewall-rule --network <network id> --rule ${address}`],
  host: "p.<id>.db.postgresbridge.com and port 5432, not 5431 of its PgBouncer",
  systemSchemas: ["crunchy_monitoring"],
  systemRoles: ["application", "crunchy_replication", "crunchy_superuser"],
  documentation: [
    "https://docs.crunchybridge.com/how-to/logical-replication",
    "https://docs.crunchybridge.com/general/networking-and-firewall-rules/",
  ],
};
