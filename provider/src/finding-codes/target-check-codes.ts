import type { Catalogue } from "./catalogue-entry.js";

/** PGM-81x to PGM-83x: the target after the migration, as `pg-migration check-target` sees it. */
export const targetCheckCodes = {
  "PGM-811": {
    meaning: "a table of the target has rows, but no statistics",
    severity: "Warning",
    remedy: "ANALYZE <table>",
    privilege: "ownership of the table, or MAINTAIN (17 or later)",
  },
  "PGM-812": {
    meaning: "an index of the target is invalid, so queries do not use it",
    severity: "Failed",
    remedy: "REINDEX INDEX CONCURRENTLY <index>",
    privilege: "ownership of the index, or MAINTAIN (17 or later)",
  },
  "PGM-813": {
    meaning: "the target's library sorts texts in another version than the indexes of a collation were created with",
    severity: "Failed",
    remedy: "REINDEX the indexes, then ALTER COLLATION (or ALTER DATABASE) ... REFRESH VERSION",
    privilege: "ownership of the indexes, and of the collation or database",
  },
  "PGM-814": {
    meaning: "a constraint on the target is not validated, so existing rows may violate it",
    severity: "Warning",
    remedy: "ALTER TABLE <table> VALIDATE CONSTRAINT <constraint>",
    privilege: "ownership of the table or domain",
  },
  "PGM-815": {
    meaning: "a sequence of the target returns values next that its column had at the last ANALYZE",
    severity: "Warning",
    remedy: "SELECT setval('<sequence>', (SELECT max(<column>) FROM <table>))",
    privilege: "UPDATE on the sequence",
  },
  "PGM-816": {
    meaning: "autovacuum leaves out a table of the target",
    severity: "Warning",
    remedy: "ALTER TABLE <table> RESET (autovacuum_enabled)",
    privilege: "ownership of the table",
  },
  "PGM-821": {
    meaning: "autovacuum is off on the target",
    severity: "Failed",
    remedy: "set autovacuum to on",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-822": {
    meaning: "a parameter of the target has a value that is recommended only while data is restored",
    severity: "Warning",
    remedy: "set max_wal_size, checkpoint_timeout or maintenance_work_mem for the workload",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-823": {
    meaning: "Azure's PgBouncer is off",
    severity: "Warning",
    remedy:
      "set pgbouncer.enabled to true if applications have no pool of their own; not available in the Burstable tier",
    privilege: "Contributor of the flexible server",
  },
  "PGM-824": {
    meaning: "track_io_timing is off on the target",
    severity: "Warning",
    remedy: "set track_io_timing to on",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-825": {
    meaning: "pg_stat_statements is not loaded on the target, or records nothing",
    severity: "Warning",
    remedy: "set pg_stat_statements.track to top",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-826": {
    meaning: "the storage of the target, a flexible server, does not grow automatically",
    severity: "Warning",
    remedy: "az postgres flexible-server update --ids <id> --storage-auto-grow Enabled",
    privilege: "Contributor of the flexible server",
  },
  "PGM-831": {
    meaning: "a query takes at least twice as long on the target as on the source, on average",
    severity: "Warning",
    remedy: "compare the plans with EXPLAIN on both servers",
    privilege: "pg_read_all_stats on both servers, to see the queries of other roles",
  },
} as const satisfies Catalogue;
