import type { TableChanges } from "../cdc/model/change-counts.js";
import { log } from "../log.js";
import type { FindingCode } from "../finding-codes/finding-code.js";
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
import { withdrawFindings } from "./history/earlier-findings.js";
import { recordDatabaseState, recordState } from "./history/state-changes.js";
import { fenceColumns, type DatabasePhase } from "./records.js";
import { isLeftByFailure, type SharedCopy } from "./shared-copies.js";
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

/** When tables are compared, and as of which LSN. */
export interface ComparisonMoment {
  /** `return`: the LSN is one of the target, because the changes of the target were applied to the source. */
  readonly occasion: "copy" | "cutover" | "verification" | "return";
  /** Undefined after an offline copy, whose snapshot determines it. */
  readonly lsn?: string;
}

/** The value of a sequence, as decimal text, because a number cannot hold 64 bits. */
export interface CarriedSequence {
  readonly schema: string;
  readonly name: string;
  readonly last: string;
  readonly called: boolean;
}

/** An object of the source that is missing on the target. */
export interface OmittedObject {
  /** pg_dump's word for its kind, such as `TABLE`; undefined if `object` has the kind. */
  readonly objectType?: string;
  readonly object: string;
  readonly code?: FindingCode;
  readonly reason: string;
  readonly remedy?: string | undefined;
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
   * Null if there is no copy to share. It is removed when the phase changes, when the database is canceled, and when it fails,
   * unless it has the generation {@link generationAfterFailure}.
   */
  readonly sharedCopy?: SharedCopy | null;
  /** What a successor needs to continue a shared copy. */
  readonly copyState?: unknown;
  /** Position in the source's WAL at which the rows were read, or up to which the cutover applied changes. */
  readonly snapshotLsn?: string | undefined;
  readonly cutoverLsn?: string;
  /** The cutover window that the database waits for; null after the wait. */
  readonly awaitedWindow?: string | null;
}

const copyHasEnded = `coalesce($4, phase) <> 'copying' OR coalesce($5, state) IN ('Canceling', 'Canceled')
                OR coalesce($5, state) = 'Failed' AND NOT ${isLeftByFailure}`;

/** Writes a worker's records of its migration. Each write checks the lease's generation. */
export class Journal {
  constructor(
    readonly lease: WriteFence,
    readonly observers: readonly JournalObserver[] = [],
  ) {}

  async state(state: MigrationState, subState: MigrationSubState, error?: string): Promise<void> {
    await this.lease.write(
      `WITH changed AS (${recordState})
       UPDATE pgmigration.migration
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
      `WITH ${withdrawFindings(holdsLease, "attempt")}
       UPDATE pgmigration.migration SET validation_started_at = clock_timestamp(), validation_ended_at = NULL
        WHERE name = $1 AND generation = $2 RETURNING name`,
    );
  }

  async validationEnded(findings: readonly Finding[]): Promise<void> {
    await Promise.all([
      this.findings(findings),
      this.lease.write(
        `UPDATE pgmigration.migration SET validation_ended_at = clock_timestamp()
          WHERE name = $1 AND generation = $2 RETURNING name`,
      ),
    ]);
  }

  async findings(findings: readonly Finding[]): Promise<void> {
    if (findings.length === 0) return;
    await this.lease.query(
      `INSERT INTO pgmigration.finding (migration, database, type, state, code, object, object_type, message, remedy, during)
       SELECT $1, f.*, (SELECT sub_state FROM pgmigration.migration WHERE name = $1) FROM json_to_recordset($3::json)
         AS f (database text, type text, state text, code text, object text, "objectType" text, message text, remedy text)
        WHERE ${holdsLease}
          AND NOT EXISTS (SELECT FROM pgmigration.finding old
                           WHERE old.migration = $1 AND old.message = f.message
                             AND old.database IS NOT DISTINCT FROM f.database)`,
      [JSON.stringify(findings)],
    );
  }

  /** Withdraws the findings of a failed attempt at a database, whose copy starts again. */
  async withdrawFindings(database: string): Promise<void> {
    await this.lease.query(`WITH ${withdrawFindings(`database = $3 AND ${holdsLease}`, "attempt")} SELECT`, [database]);
  }

  /**
   * Replaces the findings of one code. Findings that are no longer true are removed.
   *
   * @param database undefined for findings that concern the whole server
   * @param code the code of all the findings
   */
  async replaceFindings(database: string | undefined, code: FindingCode, findings: readonly Finding[]): Promise<void> {
    await Promise.all([
      this.lease.query(
        `WITH ${withdrawFindings(
          `database IS NOT DISTINCT FROM $3 AND code = $4 AND message <> ALL ($5) AND ${holdsLease}`,
          "check",
        )} SELECT`,
        [database ?? null, code, findings.map(({ message }) => message)],
      ),
      this.findings(findings),
    ]);
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
      `WITH changed AS (${recordDatabaseState})
       UPDATE pgmigration.database
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
              snapshot_lsn = coalesce($16, snapshot_lsn), cutover_lsn = coalesce($17, cutover_lsn),
              awaited_window = CASE WHEN $18 THEN $19 ELSE awaited_window END,
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
        change.snapshotLsn ?? null,
        change.cutoverLsn ?? null,
        change.awaitedWindow !== undefined,
        change.awaitedWindow ?? null,
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

  /** Records how many changes of tables are applied since the copy. A worker that lost its stream may report fewer, too late. */
  async tableChanges(database: string, tables: readonly TableChanges[]): Promise<void> {
    if (tables.length === 0) return;
    await this.lease.query(
      `INSERT INTO pgmigration.table_changes (migration, database, table_schema, table_name, inserts, updates, deletes)
       SELECT $1, $3, t.schema, t."table", t.inserts, t.updates, t.deletes
         FROM json_to_recordset($4::json) AS t (schema text, "table" text, inserts int8, updates int8, deletes int8)
        WHERE ${holdsLease}
       ON CONFLICT (migration, database, table_schema, table_name) DO UPDATE
          SET inserts = greatest(table_changes.inserts, excluded.inserts), updates = greatest(table_changes.updates, excluded.updates),
              deletes = greatest(table_changes.deletes, excluded.deletes)`,
      [database, JSON.stringify(tables)],
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

  async comparisons(
    database: string,
    results: readonly Comparison[],
    { occasion, lsn }: ComparisonMoment,
  ): Promise<void> {
    await this.lease.query(
      `INSERT INTO pgmigration.comparison
              (migration, database, table_schema, table_name, source_rows, target_rows, equal, compared_by,
               differences, occasion, lsn)
       SELECT $1, $3, c.schema, c."table", c."sourceRows", c."targetRows", c.equal, c.by, c."firstDifferences", $5, $6
         FROM json_to_recordset($4::json)
           AS c (schema text, "table" text, "sourceRows" int8, "targetRows" int8, equal bool, by text,
                 "firstDifferences" jsonb)
        WHERE ${holdsLease}
       ON CONFLICT (migration, database, table_schema, table_name) DO UPDATE
          SET source_rows = excluded.source_rows, target_rows = excluded.target_rows, equal = excluded.equal,
              compared_by = excluded.compared_by, differences = excluded.differences, at = excluded.at,
              occasion = excluded.occasion, lsn = excluded.lsn`,
      [database, JSON.stringify(results), occasion, lsn ?? null],
    );
  }

  /** Records the values that sequences received. */
  async sequences(database: string, setOn: "source" | "target", sequences: readonly CarriedSequence[]): Promise<void> {
    if (sequences.length === 0) return;
    await this.lease.query(
      `INSERT INTO pgmigration.sequence_value (migration, database, schema, name, last_value, is_called, set_on)
       SELECT $1, $3, s.schema, s.name, s.last, s.called, $4
         FROM json_to_recordset($5::json) AS s (schema text, name text, last int8, called bool) WHERE ${holdsLease}
       ON CONFLICT (migration, database, schema, name) DO UPDATE
          SET last_value = excluded.last_value, is_called = excluded.is_called, set_on = excluded.set_on,
              at = excluded.at`,
      [database, setOn, JSON.stringify(sequences)],
    );
  }

  /** Records objects that are not created on the target. */
  async omitted(database: string, objects: readonly OmittedObject[]): Promise<void> {
    if (objects.length === 0) return;
    await this.lease.query(
      `INSERT INTO pgmigration.omitted_object (migration, database, key, object_type, object, code, reason, remedy)
       SELECT $1, $3, md5(json_build_array(o."objectType", o.object, o.code)::text), o."objectType", o.object, o.code,
              o.reason, o.remedy
         FROM json_to_recordset($4::json)
           AS o ("objectType" text, object text, code text, reason text, remedy text)
        WHERE ${holdsLease}
       ON CONFLICT DO NOTHING`,
      [database, JSON.stringify(objects)],
    );
  }

  /** Forgets the results of an earlier copy, which starts again. */
  async copyStarts(database: string): Promise<void> {
    await this.lease.query(
      `WITH sequences AS (DELETE FROM pgmigration.sequence_value WHERE migration = $1 AND database = $3 AND ${holdsLease})
       DELETE FROM pgmigration.omitted_object WHERE migration = $1 AND database = $3 AND ${holdsLease}`,
      [database],
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
