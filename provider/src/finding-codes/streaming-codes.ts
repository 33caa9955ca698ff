import type { Catalogue } from "./catalogue-entry.js";

/** PGM-5xx: the copy and the replication of changes. */
export const streamingCodes = {
  "PGM-501": {
    meaning: "changes were lost between the slot and the target",
    severity: "Failed",
    remedy: "prevent the cause, then delete the migration and start it again",
  },
  "PGM-502": {
    meaning: "a session on the source waits for a lock of the copy",
    severity: "Warning",
    remedy: "let it wait, or SELECT pg_cancel_backend(<pid>) on the source",
    privilege: "pg_signal_backend, or membership in the session's role",
  },
  "PGM-503": {
    meaning: "source and target definitions differ, and the worker cannot decide",
    severity: "Failed",
    remedy: "run the statement that the finding names, or undo the change",
  },
  "PGM-504": {
    meaning: "a change cannot be applied, because of other rows or constraints",
    severity: "Failed",
    remedy: "correct the row that the finding names; the migration then resumes",
  },
  "PGM-505": {
    meaning: "a slot retains nearly as much WAL as its limit allows",
    severity: "Warning",
    remedy: "cut over, find out why the target is behind, or raise maxRetainedWal",
  },
  "PGM-506": {
    meaning: "a table was created without a key, or lost it, during the replication",
    severity: "Warning",
    remedy: "add a primary key on the source; the table is then copied again",
    privilege: "ownership of the table on the source",
  },
  "PGM-507": {
    meaning: "a change of the schema during the replication was not applied to the target",
    severity: "Warning",
    remedy: "run the statement in the finding on the target",
    omits: true,
  },
  "PGM-508": {
    meaning: "offline: the source was written after the snapshot, so the target lacks these changes",
    severity: "Warning or Failed",
    remedy: "stop the applications and migrate again; fence or an online migration prevents it",
    omits: true,
  },
  "PGM-509": {
    meaning: "online: a crash of the target emptied unlogged tables after their rows were copied",
    severity: "Warning",
    remedy: "copy the rows of these tables again, or let the application fill them",
    omits: true,
  },
  "PGM-510": {
    meaning:
      "a table was dropped on the source during the replication, or got an excluded name; the target keeps it in a schema of its own",
    severity: "Warning",
    remedy: "drop the schema pgmigration_dropped_<number> on the target, or move the table back with SET SCHEMA",
    privilege: "ownership of the schema",
  },
} as const satisfies Catalogue;
