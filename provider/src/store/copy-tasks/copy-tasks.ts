import type { Entry } from "../../schema/sql/toc-entries.js";
import { TakenOverError, messageOf } from "../../errors.js";
import { qualify, type RelationName } from "../../postgres/identifiers.js";
import { causingSqlState } from "../../postgres/sql-state.js";
import { holdsLease, type WriteFence } from "../lease.js";
import { CopyTaskCounts } from "./copy-task-counts.js";
import { CopyTaskRecovery } from "./copy-task-recovery.js";
import {
  type CompletedCopyTask,
  type CopyTask,
  type NewCopyTask,
  ours,
  type Skipped,
  type TargetSession,
} from "./copy-task.js";

/**
 * Maximum number of small tasks in one claim. They share a transaction, and are repeated together when a worker dies.
 */
const tasksPerClaim = 100;

/**
 * The copy tasks of one database, which workers claim one after another. IDs count from 0, in the given order.
 *
 * Each task is executed exactly once, even if its worker dies. A claim names the session on the target that does the
 * work. The number of the target's transaction is recorded before its COMMIT. Before another worker gets the task, the
 * old session is terminated. Then the server knows whether the transaction was committed.
 */
export class CopyTasks {
  readonly counts: CopyTaskCounts;
  readonly recovery: CopyTaskRecovery;

  /**
   * @param copy `SharedCopy.id`, for a helper in another worker's copy. It then claims no task of another copy, which
   * has another snapshot.
   */
  constructor(
    readonly right: WriteFence,
    readonly database: string,
    readonly copy?: string,
  ) {
    this.counts = new CopyTaskCounts(right, database);
    this.recovery = new CopyTaskRecovery(right, database);
  }

  /** Replaces the tasks, comparisons and counts of an earlier attempt by new tasks. */
  async replace(tasks: readonly NewCopyTask[]): Promise<void> {
    // Sent at once, in this order.
    await Promise.all([
      this.right.query(
        `WITH compared AS (DELETE FROM pgmigration.comparison WHERE migration = $1 AND database = $3 AND ${holdsLease}),
              changed AS (DELETE FROM pgmigration.table_changes WHERE migration = $1 AND database = $3 AND ${holdsLease})
         DELETE FROM pgmigration.copy_task WHERE migration = $1 AND database = $3 AND ${holdsLease}`,
        [this.database],
      ),
      this.right.query(
        `INSERT INTO pgmigration.copy_task
                (migration, database, id, kind, table_schema, table_name, entry, bytes_total, rows_estimated, small,
                 ready, deferred, condition, build)
         SELECT $1, $3, u.id, u.kind, u.schema, u."table", u.entry, u."bytesTotal", u."rowsEstimated", u.small,
                u.ready, u.deferred, u.condition, u.build
           FROM json_to_recordset($4::json)
             AS u (id int, kind text, schema text, "table" text, entry text, "bytesTotal" int8, "rowsEstimated" int8,
                   small bool, ready bool, deferred bool, condition text, build jsonb)
          WHERE ${holdsLease}
         ON CONFLICT DO NOTHING`,
        [this.database, JSON.stringify(tasks.map((task, id) => ({ id, ...task })))],
      ),
      this.right.analyze("copy_task"),
    ]);
  }

  /**
   * Claims the next table, or several small tables. Tables were queued by descending size. Empty if all are claimed.
   */
  async claimTables(session: TargetSession): Promise<CopyTask[]> {
    return this.#claim("table", session);
  }

  /** Claims the next index of a complete table, or several indexes of small tables. */
  async claimIndexes(session: TargetSession): Promise<CopyTask[]> {
    return this.#claim("index", session);
  }

  async progress(id: number, bytes: number, rows: number): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u SET bytes_copied = $5, rows_copied = $6
        WHERE ${ours} AND u.id = $4 AND u.state = 'loading' AND u.claimed_by = $7 AND ${holdsLease}`,
      [this.database, id, bytes, rows, this.right.worker],
    );
  }

  /**
   * Records the target's transaction that is about to be committed and that completes these tables.
   *
   * @throws TakenOverError when any of them was given to another worker: roll back
   */
  async committing(tasks: readonly CompletedCopyTask[], transaction: string): Promise<void> {
    const rows = await this.right.query(
      `UPDATE pgmigration.copy_task u
          SET target_xid = $5, bytes_copied = done.bytes, rows_copied = done.rows
         FROM json_to_recordset($4::json) AS done (id int, bytes int8, rows int8)
        WHERE ${ours} AND u.id = done.id AND u.state = 'loading' AND u.claimed_by = $6 AND ${holdsLease}
       RETURNING u.id`,
      [this.database, JSON.stringify(tasks), transaction, this.right.worker],
    );
    if (rows.length !== tasks.length)
      throw new TakenOverError(`tables of ${this.database} that this worker was copying were given to another one`);
  }

  /** Records completed tables or parts, and makes the indexes of complete tables ready. */
  async completeTables(tasks: readonly CompletedCopyTask[]): Promise<void> {
    if (tasks.length === 0) return;
    // Sent at once, in this order.
    await Promise.all([this.#complete(tasks), this.#markIndexesReady(tasks.map(({ id }) => id))]);
  }

  /** Records completed indexes, with the entries that the target refused. */
  async completeIndexes(ids: readonly number[], skipped?: Skipped): Promise<void> {
    await this.#complete(
      ids.map((id) => ({ id, bytes: 0, rows: 0 })),
      skipped,
    );
  }

  async #complete(tasks: readonly CompletedCopyTask[], skipped?: Skipped): Promise<void> {
    await this.right.write(
      `UPDATE pgmigration.copy_task u
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = done.bytes, rows_copied = done.rows,
              skipped = $6::jsonb
         FROM json_to_recordset($4::json) AS done (id int, bytes int8, rows int8)
        WHERE ${ours} AND u.id = done.id AND u.claimed_by = $5 AND u.state IN ('loading', 'completed')
          AND ${holdsLease}
       RETURNING u.id`,
      [this.database, JSON.stringify(tasks), this.right.worker, skipped ? JSON.stringify(skipped) : null],
    );
  }

  async fail(id: number, error: unknown): Promise<void> {
    await this.right.write(
      `UPDATE pgmigration.copy_task u SET state = 'errored', ended_at = clock_timestamp(), error = $5, error_code = $7
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $6 AND u.state IN ('loading', 'errored') AND ${holdsLease}
       RETURNING u.id`,
      [this.database, id, messageOf(error), this.right.worker, causingSqlState(error)],
    );
  }

  /**
   * Completes the task of a table whose rows are copied later, when the table joins the stream.
   *
   * @param reason why they cannot be copied now
   */
  async postpone(id: number, reason: string): Promise<void> {
    await this.right.write(
      `UPDATE pgmigration.copy_task u
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = 0, rows_copied = 0, postponed = $5
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $6 AND u.state IN ('loading', 'completed') AND ${holdsLease}
       RETURNING u.id`,
      [this.database, id, reason, this.right.worker],
    );
    await this.#markIndexesReady([id]);
  }

  /** The tables, qualified and quoted, with a task that was postponed by any worker. */
  async postponed(): Promise<string[]> {
    const rows = await this.right.query<{ schema: string; table: string }>(
      `SELECT DISTINCT u.table_schema AS schema, u.table_name AS "table" FROM pgmigration.copy_task u
        WHERE ${ours} AND u.postponed IS NOT NULL AND ${holdsLease}`,
      [this.database],
    );
    return rows.map(({ schema, table }) => qualify(schema, table));
  }

  /** Returns the given tables of which at least one row is on the target, according to the records. */
  async withRows(tables: readonly RelationName[]): Promise<RelationName[]> {
    return this.right.query<RelationName>(
      `SELECT DISTINCT u.table_schema AS schema, u.table_name AS name
         FROM pgmigration.copy_task u
         JOIN json_to_recordset($4::json) AS t (schema text, name text) ON u.table_schema = t.schema AND u.table_name = t.name
        WHERE ${ours} AND u.kind = 'table' AND u.state = 'completed' AND u.rows_copied > 0 AND ${holdsLease}`,
      [this.database, JSON.stringify(tables)],
    );
  }

  /** The error of a task that failed in another worker, and its SQLSTATE. */
  async failureOfOthers(): Promise<{ readonly message: string; readonly code: string } | undefined> {
    const [row] = await this.right.query<{ message: string; code: string }>(
      `SELECT u.error AS message, coalesce(u.error_code, '') AS code FROM pgmigration.copy_task u
        WHERE ${ours} AND u.state = 'errored' AND u.claimed_by <> $4 AND ${holdsLease} ORDER BY u.id LIMIT 1`,
      [this.database, this.right.worker],
    );
    return row;
  }

  /** The entries that the target refused, of all workers. */
  async skipped(): Promise<Skipped[]> {
    const rows = await this.right.query<{ skipped: Skipped }>(
      `SELECT u.skipped AS "skipped" FROM pgmigration.copy_task u
        WHERE ${ours} AND u.skipped IS NOT NULL AND ${holdsLease} ORDER BY u.id`,
      [this.database],
    );
    return rows.map((row) => row.skipped);
  }

  /** A separate statement: if two workers complete the last two parts of a table, the later one sees both. */
  async #markIndexesReady(ids: readonly number[]): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task i SET ready = true
        WHERE i.migration = $1 AND i.database = $3 AND i.kind = 'index' AND NOT i.ready AND ${holdsLease}
          AND (i.table_schema, i.table_name) IN (
                SELECT t.table_schema, t.table_name FROM pgmigration.copy_task t
                 WHERE t.migration = $1 AND t.database = $3 AND t.id = ANY ($4::int[]) AND t.kind = 'table')
          AND NOT EXISTS (
                SELECT FROM pgmigration.copy_task t
                 WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
                   AND t.table_schema = i.table_schema AND t.table_name = i.table_name)`,
      [this.database, ids],
    );
  }

  /**
   * Claims the first ready task. If it is small, the small tasks after it, too. A session that asks has no other task:
   * if it already has one, the response to its claim was lost.
   */
  async #claim(kind: CopyTask["kind"], session: TargetSession): Promise<CopyTask[]> {
    const open = `${ours} AND u.kind = $4 AND u.state = 'queued' AND u.ready AND (NOT u.deferred OR NOT EXISTS (
      SELECT FROM pgmigration.copy_task t WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND NOT t.deferred
         AND t.state <> 'completed'))`;
    const isStillShared = `($8::text IS NULL OR EXISTS (
      SELECT FROM pgmigration.database d WHERE d.migration = $1 AND d.name = $3 AND d.shared_copy ->> 'id' = $8))`;
    const rows = await this.right.query<
      Omit<CopyTask, "condition" | "build"> & { condition: string | null; build: Entry | null }
    >(
      `WITH unanswered AS (
         SELECT u.id FROM pgmigration.copy_task u
          WHERE ${ours} AND u.kind = $4 AND u.state = 'loading' AND u.claimed_by = $5
            AND u.session_pid = $6 AND u.session_since = $7
       ), first AS (
         SELECT u.id, u.small FROM pgmigration.copy_task u
          WHERE ${open} AND ${holdsLease} AND ${isStillShared} AND NOT EXISTS (SELECT FROM unanswered)
          ORDER BY u.id LIMIT 1 FOR UPDATE SKIP LOCKED
       ), others AS (
         SELECT u.id FROM pgmigration.copy_task u
          WHERE ${open} AND u.small AND u.id > (SELECT id FROM first WHERE small)
          ORDER BY u.id LIMIT ${tasksPerClaim - 1} FOR UPDATE SKIP LOCKED
       )
       UPDATE pgmigration.copy_task
          SET state = 'loading', generation = $2, claimed_by = $5, session_pid = $6, session_since = $7,
              target_xid = NULL, started_at = clock_timestamp()
        WHERE migration = $1 AND database = $3 AND ${holdsLease}
          AND id = ANY (ARRAY (SELECT id FROM unanswered UNION ALL SELECT id FROM first UNION ALL SELECT id FROM others))
       RETURNING id, kind, table_schema AS schema, table_name AS table, deferred, condition, build, returned`,
      [this.database, kind, this.right.worker, session.pid, session.since, this.copy ?? null],
    );
    return rows
      .map((row) => ({ ...row, condition: row.condition ?? undefined, build: row.build ?? undefined }))
      .sort((one, other) => one.id - other.id);
  }
}
