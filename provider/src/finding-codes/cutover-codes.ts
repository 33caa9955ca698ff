import type { Catalogue } from "./catalogue-entry.js";

/** PGM-6xx: cutover and rollback. */
export const cutoverCodes = {
  "PGM-601": {
    meaning: "the role may not raise the fence, or not terminate other roles' sessions",
    severity: "Failed",
    remedy: 'GRANT pg_signal_backend and the database owner to the role, or set fence to "none"',
    privilege: "ownership of the database and pg_signal_backend",
  },
  "PGM-602": {
    meaning: "sessions of superusers are open, which the fence cannot terminate",
    severity: "Warning",
    remedy: "end them before the fence is raised, or connect as a superuser",
    privilege: "superuser",
  },
  "PGM-603": {
    meaning: "a role has its own default_transaction_read_only, which a fence cannot replace",
    severity: "Failed",
    remedy: "ALTER ROLE <role> RESET default_transaction_read_only",
    privilege: "superuser, or ADMIN OPTION on the role",
  },
  "PGM-604": {
    meaning: "a subscription writes into the database in spite of a fence",
    severity: "Warning",
    remedy: "ALTER SUBSCRIPTION ... DISABLE before the fence is raised",
    privilege: "ownership of the subscription",
  },
  "PGM-605": {
    meaning: "rollback replication is not possible",
    severity: "Failed",
    remedy:
      "set the parameter, grant the privilege or enable the trigger as the finding names, or set rollback to drop",
  },
  "PGM-606": {
    meaning: "rows of the target are not returned to the source",
    severity: "Warning",
    remedy: "copy the rows manually if the source needs them",
    omits: true,
  },
  "PGM-607": {
    meaning: "rollback replication runs functions of other roles on the source",
    severity: "Warning",
    remedy: "set rollback to drop if you do not trust the roles that the finding names",
  },
  "PGM-608": {
    meaning: "the cutover window is over, and the cutover has not started",
    severity: "Warning",
    remedy:
      "set cutoverWindow to a future window, with verifyBeforeCutover one that leaves time for the comparison, or remove it to cut over now",
  },
} as const satisfies Catalogue;
