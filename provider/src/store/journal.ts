import { log } from "../log.js";
import type { Finding } from "../findings.js";
import type { FenceRecord, FenceSide } from "./fence-record.js";
import type {
  ComparisonProgress,
  DatabaseState,
  MigrationState,
  MigrationSubState,
  OnlineVerification,
  ServerMetadata,
  RollbackStatus,
} from "../status.js";
import { holdsLease, type WriteFence } from "./lease.js";
import { fenceColumns, type DatabasePhase } from "./records.js";
import type { SharedCopy } from "./shared-copies.js";
import { notifyChange } from "./store.js";

const logLevels = { info: "info", warning: "warn", error: "error" } as const;

/** How much WAL the source retains for a database's slot, and the limit at which the slot is dropped. */
export interface RetainedWal {
  readonly bytes: number;
  readonly limitBytes: number | undefined;
}

/** The state of the stream, reported once a second. */
export interface FollowReport {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly appliedChanges: number;
  readonly incomingChanges: number;
  readonly latencySeconds: number;
  readonly lagBytes: number;
  readonly pendingTransactions: number;
  readonly insertsPerSecond: number;
  readonly updatesPerSecond: number;
  readonly deletesPerSecond: number;
  readonly secondsToCatchUp: number | undefined;
}

export interface Comparison {
  readonly schema: string;
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly equal: boolean;
  readonly by: "content" | "counts";
  readonly firstDifferences: unknown;
}

/** Receives what was recorded. It must neither fail nor wait. */
export interface JournalObserver {
  state?(state: MigrationState, subState: MigrationSubState, error: string | undefined): void;
  database?(name: string, change: DatabaseChange): void;
  cutoverStep?(database: string, step: string, seconds: number): void;
}

/** Changes to a database's record. Omitted properties stay as they are. */
export interface DatabaseChange {
  readonly phase?: DatabasePhase;
  readonly state?: DatabaseState;
  /** The current activity, or the error of a failed database. */
  readonly message?: string | null;
  /** `begun` before a database is created on the target, `done` right after. */
  readonly creation?: "begun" | "done";
  readonly slot?: string | null;
  readonly publications?: readonly string[];
  readonly deferredPlan?: unknown;
  /**
   * Null if there is no copy to share. It is removed when the phase changes, and when the database fails or is
   * canceled.
   */
  readonly sharedCopy?: SharedCopy | null;
  /** What a successor needs to continue a shared copy. */
  readonly copyState?: unknown;
}

const copyHasEnded = "coalesce($4, phase) <> 'copying' OR coalesce($5, state) IN ('Failed', 'Canceling', 'Canceled')";

/** Writes a worker's records of its migration. Each write checks the lease's generation. */
export class Journal {
  constructor(
    readonly lease: WriteFence,
    readonly observers: readonly JournalObserver[] = [],
  ) {}

  async state(state: MigrationState, subState: MigrationSubState, error?: string): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.migration
          SET state = $3, sub_state = $4, error = $5,
              reached_sub_state = CASE WHEN $4 IN ('Completed', 'CancelingRequestedDBMigrations') THEN reached_sub_state
                                       ELSE $4 END,
              ended_at = CASE WHEN $6 THEN clock_timestamp() END
        WHERE name = $1 AND generation = $2 RETURNING ${notifyChange("name")}`,
      [state, subState, error ?? null, ["Succeeded", "Failed", "ValidationFailed", "Canceled"].includes(state)],
    );
    for (const observer of this.observers) observer.state?.(state, subState, error);
  }

  /** Records version and settings of both servers. */
  async servers(source: ServerMetadata, target: ServerMetadata): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.migration SET source_server = $3, target_server = $4
        WHERE name = $1 AND generation = $2 RETURNING name`,
      [JSON.stringify(source), JSON.stringify(target)],
    );
  }

  async validationStarted(): Promise<void> {
    await this.lease.write(
      `WITH stale AS (DELETE FROM pgmigration.finding WHERE migration = $1 AND ${holdsLease})
       UPDATE pgmigration.migration SET validation_started_at = clock_timestamp(), validation_ended_at = NULL
        WHERE name = $1 AND generation = $2 RETURNING name`,
    );
  }

  async validationEnded(findings: readonly Finding[]): Promise<void> {
    await this.findings(findings);
    await this.lease.write(
      `UPDATE pgmigration.migration SET validation_ended_at = clock_timestamp()
        WHERE name = $1 AND generation = $2 RETURNING name`,
    );
  }

  async findings(findings: readonly Finding[]): Promise<void> {
    if (findings.length === 0) return;
    await this.lease.query(
      `INSERT INTO pgmigration.finding (migration, database, type, state, code, object, object_type, message, remedy)
       SELECT $1, f.* FROM json_to_recordset($3::json)
         AS f (database text, type text, state text, code text, object text, "objectType" text, message text, remedy text)
        WHERE ${holdsLease}
          AND NOT EXISTS (SELECT FROM pgmigration.finding old
                           WHERE old.migration = $1 AND old.message = f.message
                             AND old.database IS NOT DISTINCT FROM f.database)`,
      [JSON.stringify(findings)],
    );
  }

  /**
   * Replaces the findings of one code. Findings that are no longer true are removed.
   *
   * @param database undefined for findings that concern the whole server
   * @param code the code of all the findings
   */
  async replaceFindings(database: string | undefined, code: string, findings: readonly Finding[]): Promise<void> {
    await this.lease.query(
      `DELETE FROM pgmigration.finding
        WHERE migration = $1 AND database IS NOT DISTINCT FROM $3 AND code = $4 AND message <> ALL ($5)
          AND ${holdsLease}`,
      [database ?? null, code, findings.map(({ message }) => message)],
    );
    await this.findings(findings);
  }

  async event(
    message: string,
    options: { database?: string; level?: "info" | "warning" | "error" } = {},
  ): Promise<void> {
    log[logLevels[options.level ?? "info"]]({ database: options.database }, message);
    await this.lease.query(
      `INSERT INTO pgmigration.event (migration, database, level, message) SELECT $1, $3, $4, $5 WHERE ${holdsLease}`,
      [options.database ?? null, options.level ?? "info", message],
    );
  }

  /** Changes a database's record. */
  async database(name: string, change: DatabaseChange): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database
          SET phase = coalesce($4, phase), state = coalesce($5, state),
              message = CASE WHEN $6 THEN $7 ELSE message END,
              being_created = CASE $8 WHEN 'begun' THEN true WHEN 'done' THEN false ELSE being_created END,
              target_oid = CASE $8 WHEN 'done' THEN (SELECT oid::int8 FROM pg_database WHERE datname = target_name)
                                   ELSE target_oid END,
              slot = CASE WHEN $9 THEN $10 ELSE slot END,
              publications = coalesce($11, publications),
              deferred_plan = coalesce($12, deferred_plan),
              shared_copy = CASE WHEN ${copyHasEnded} THEN NULL WHEN $13 THEN $14::jsonb ELSE shared_copy END,
              copy_state = CASE WHEN ${copyHasEnded} OR $13 AND $14 IS NULL THEN NULL
                                ELSE coalesce($15::jsonb, copy_state) END,
              started_at = coalesce(started_at, clock_timestamp()),
              ended_at = CASE WHEN coalesce($5, state) IN ('Succeeded', 'Failed', 'Canceled') THEN clock_timestamp() END
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [
        name,
        change.phase ?? null,
        change.state ?? null,
        change.message !== undefined,
        change.message ?? null,
        change.creation ?? null,
        change.slot !== undefined,
        change.slot ?? null,
        change.publications ?? null,
        change.deferredPlan === undefined ? null : JSON.stringify(change.deferredPlan),
        change.sharedCopy !== undefined,
        change.sharedCopy ? JSON.stringify(change.sharedCopy) : null,
        change.copyState === undefined ? null : JSON.stringify(change.copyState),
      ],
    );
    for (const observer of this.observers) observer.database?.(name, change);
  }

  /** Records what a fence replaced; null after it was removed. */
  async fence(database: string, side: FenceSide, record: FenceRecord | null): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database SET ${fenceColumns[side]} = $4::jsonb
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [database, record && JSON.stringify(record)],
    );
  }

  async follow(database: string, report: FollowReport): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database SET follow = $4::jsonb || jsonb_build_object('measuredAt', clock_timestamp())
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [database, JSON.stringify(report)],
    );
  }

  async retainedWal(database: string, retained: RetainedWal): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database SET retained_wal = $4
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [database, JSON.stringify(retained)],
    );
  }

  async verification(database: string, verification: OnlineVerification): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database SET verification = $4
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [database, JSON.stringify(verification)],
    );
  }

  /** Records the state of the rollback replication; null after it was removed on both servers. */
  async rollbackReplication(database: string, status: RollbackStatus | null): Promise<void> {
    await this.lease.write(
      `UPDATE pgmigration.database SET rollback_replication = $4
        WHERE migration = $1 AND name = $3 AND ${holdsLease} RETURNING name`,
      [database, status && JSON.stringify(status)],
    );
  }

  async comparisons(database: string, results: readonly Comparison[]): Promise<void> {
    await this.lease.query(
      `INSERT INTO pgmigration.comparison
              (migration, database, table_schema, table_name, source_rows, target_rows, equal, compared_by,
               differences)
       SELECT $1, $3, c.schema, c."table", c."sourceRows", c."targetRows", c.equal, c.by, c."firstDifferences"
         FROM json_to_recordset($4::json)
           AS c (schema text, "table" text, "sourceRows" int8, "targetRows" int8, equal bool, by text,
                 "firstDifferences" jsonb)
        WHERE ${holdsLease}
       ON CONFLICT (migration, database, table_schema, table_name) DO UPDATE
          SET source_rows = excluded.source_rows, target_rows = excluded.target_rows, equal = excluded.equal,
              compared_by = excluded.compared_by, differences = excluded.differences, at = excluded.at`,
      [database, JSON.stringify(results)],
    );
  }

  /** Records the progress of a comparison; null when it has ended. A new generation ends it, too. */
  async comparing(database: string, progress: ComparisonProgress | null): Promise<void> {
    await this.lease.query(
      `UPDATE pgmigration.database SET comparing = $4::jsonb || jsonb_build_object('generation', $2::bigint)
        WHERE migration = $1 AND name = $3 AND ${holdsLease}`,
      [database, progress && JSON.stringify(progress)],
    );
  }

  async cutoverStep(database: string, step: string, seconds: number): Promise<void> {
    await this.lease.query(
      `INSERT INTO pgmigration.cutover_step (migration, database, step, seconds) SELECT $1, $3, $4, $5 WHERE ${holdsLease}`,
      [database, step, seconds],
    );
    for (const observer of this.observers) observer.cutoverStep?.(database, step, seconds);
  }
}
