import type { Catalogue } from "./catalogue-entry.js";

/** PGM-2xx: the source, and what its stream contains. */
export const sourceCodes = {
  "PGM-201": {
    meaning: "the source is a standby, on which publications cannot be created",
    severity: "Failed",
    remedy: "set source to the primary server",
  },
  "PGM-202": {
    meaning: "a slot waits for an open or prepared transaction",
    severity: "Warning",
    remedy: "end the transaction, or wait for its end",
    privilege: "pg_signal_backend, or membership in the session's role",
  },
  "PGM-203": {
    meaning: "the server invalidates idle slots (idle_replication_slot_timeout), such as those of a migration",
    severity: "Warning",
    remedy: "set idle_replication_slot_timeout to 0 for the time of the migration",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-204": {
    meaning: "a source before PostgreSQL 11 does not publish TRUNCATE, so truncated tables are copied again",
    severity: "Warning",
    remedy: "use DELETE instead of TRUNCATE until the cutover",
  },
  "PGM-205": {
    meaning: "tables have no primary key or replica identity, or one with generated columns",
    severity: "Warning or Failed",
    remedy: "add a primary key, or set keylessTables",
    privilege: "ownership of the tables on the source",
  },
  "PGM-206": {
    meaning: "unlogged tables are copied once, and their changes are not replicated",
    severity: "Warning",
    remedy: "ALTER TABLE ... SET LOGGED",
    privilege: "ownership of the tables on the source",
    omits: true,
  },
  "PGM-207": {
    meaning: "large objects are copied once, and their changes are not replicated",
    severity: "Warning",
    remedy: "do not write large objects between start and cutover, or migrate offline",
    omits: true,
  },
  "PGM-208": {
    meaning: "prepared transactions are open, and their changes are not in the copy",
    severity: "Warning",
    remedy: "COMMIT PREPARED or ROLLBACK PREPARED before the copy starts",
    privilege: "the role that prepared the transaction, or superuser",
    omits: true,
  },
  "PGM-209": {
    meaning: "the source's service does not support logical replication",
    severity: "Failed",
    remedy: "set migrationMode to Offline",
  },
  "PGM-210": {
    meaning: "max_slot_wal_keep_size is smaller than the databases, so that a slot may be lost during the copy",
    severity: "Warning",
    remedy: "raise max_slot_wal_keep_size on the source and reload its configuration",
    privilege: "superuser, or the service's server parameters",
  },
  "PGM-211": {
    meaning: "nothing limits the WAL that the source retains; SQL cannot read how much space its disk has",
    severity: "Warning",
    remedy: "check the free space of the disk with pg_wal, or set maxRetainedWal",
  },
  "PGM-212": {
    meaning: "offline: sessions write to the source, and what they commit after the snapshot is not migrated",
    severity: "Warning",
    remedy: 'stop the applications before the copy, set fence to "readOnly", or migrate online',
    privilege: "pg_monitor on the source, to see all sessions",
  },
  "PGM-213": {
    meaning: "the source's service created schemas for itself",
    severity: "Warning",
    remedy: "exclude these schemas, unless your objects use them",
    omits: true,
  },
  "PGM-214": {
    meaning: "synchronous_standby_names matches the migration's connection, for which commits would then wait",
    severity: "Warning or Failed",
    remedy: "name the standbys in synchronous_standby_names instead of *",
  },
} as const satisfies Catalogue;
