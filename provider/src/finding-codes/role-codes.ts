import type { Catalogue } from "./catalogue-entry.js";

/** PGM-7xx: the migration of roles. */
export const roleCodes = {
  "PGM-701": {
    meaning: "the target refuses the password of a role, or the role may not log in there",
    severity: "Warning",
    remedy: "ALTER ROLE <role> LOGIN PASSWORD '...' on the target",
    privilege: "CREATEROLE on the target",
  },
  "PGM-702": {
    meaning: "a role lacks attributes (SUPERUSER, REPLICATION, BYPASSRLS, CREATEROLE) on the target",
    severity: "Warning",
    remedy: "ALTER ROLE on the target, if it is needed and allowed",
    privilege: "superuser of the target, or the attribute itself",
    omits: true,
  },
  "PGM-703": {
    meaning: "settings or comments of a role were not migrated",
    severity: "Warning",
    remedy: "run the statement in the finding on the target, with the source's value in place of '<hidden value>'",
    privilege: "CREATEROLE on the target; from 16 on ADMIN OPTION on the role",
    omits: true,
  },
} as const satisfies Catalogue;
