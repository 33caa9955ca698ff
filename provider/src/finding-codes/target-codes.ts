import type { Catalogue } from "./catalogue-entry.js";

/** PGM-3xx: the target. */
export const targetCodes = {
  "PGM-301": {
    meaning: "the target's role may not create databases",
    severity: "Failed",
    remedy: "ALTER ROLE <role> CREATEDB on the target",
    privilege: "CREATEDB on the target",
  },
  "PGM-302": {
    meaning:
      "the target is read-only by default; Azure sets this when storage is nearly full, elsewhere only a user does",
    severity: "Warning",
    remedy:
      "Azure: az postgres flexible-server update --storage-size <GiB>; elsewhere: reset default_transaction_read_only if applications must write",
    privilege: "Azure: Contributor of the flexible server; elsewhere: superuser, or owner of the database or role",
  },
  "PGM-303": {
    meaning: "another migration uses the target database",
    severity: "Failed",
    remedy: "wait until the other migration has ended, or destroy it",
  },
  "PGM-304": {
    meaning: "dataOnly: the database does not exist on the target",
    severity: "Failed",
    remedy: "migrate with schemaOnly first, or remove dataOnly",
  },
  "PGM-305": {
    meaning: "dataOnly: tables already have rows on the target, and overwriteDbsInTarget is false",
    severity: "Failed",
    remedy: "set overwriteDbsInTarget to true, or empty the tables",
  },
  "PGM-306": {
    meaning: "a role may not set session_replication_role, so triggers and foreign keys apply to replicated changes",
    severity: "Warning or Failed",
    remedy: "GRANT SET ON PARAMETER session_replication_role TO <role> (15 or later), or use the administrator",
    privilege: "SET on session_replication_role",
  },
  "PGM-307": {
    meaning: "the target's lock table is too small for a transaction of the source",
    severity: "Warning",
    remedy: "raise max_locks_per_transaction and restart the target",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-308": {
    meaning: "the target's role may not read the records of migrations",
    severity: "Failed",
    remedy: "GRANT USAGE ON SCHEMA pgmigration TO <role> in the database with the records",
    privilege: "owner of the schema pgmigration",
  },
  "PGM-309": {
    meaning: "the storage of the target is smaller than 1.25 times the databases to migrate",
    severity: "Warning",
    remedy: "az postgres flexible-server update --ids <id> --storage-size <GiB>",
    privilege: "Contributor of the flexible server",
  },
  "PGM-310": {
    meaning: "high availability of the target is on during the copy, so a standby replays every write",
    severity: "Warning",
    remedy: "az postgres flexible-server update --ids <id> --zonal-resiliency Disabled; enable it after the migration",
    privilege: "Contributor of the flexible server",
  },
  "PGM-311": {
    meaning: "the target has read replicas during the copy, which replay every write",
    severity: "Warning",
    remedy: "delete the replicas, and create them after the migration",
    privilege: "Contributor of the flexible server",
  },
  "PGM-312": {
    meaning: "applications use a database that overwriteDbsInTarget would replace",
    severity: "Failed",
    remedy: "end the sessions, or drop the database on the target",
    privilege: "owner of the database",
  },
  "PGM-313": {
    meaning:
      "the migration handed the database over after its record, for example one from a backup; or the database was created after overwriteDbsInTarget was set",
    severity: "Failed",
    remedy: "remove the record with pg-migration delete, or drop the database on the target",
    privilege: "owner of the database",
  },
} as const satisfies Catalogue;
