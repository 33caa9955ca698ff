import { qualify, type RelationName } from "../../postgres/identifiers.js";
import { holdsLease, type WriteFence } from "../lease.js";
import { claimantIsGone, endSilentMembers } from "../membership.js";
import { ours, type Returned } from "./copy-task.js";

/** SQL condition: the tasks of tables with a task that is not complete. */
const incomplete = `${ours} AND u.kind = 'table' AND EXISTS (
          SELECT FROM pgmigration.copy_task t
           WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
             AND t.table_schema = u.table_schema AND t.table_name = u.table_name)`;

/** Queues tasks of one database again: those of dead workers, and those of an earlier attempt. Only the leader uses it. */
export class CopyTaskRecovery {
  constructor(
    readonly right: WriteFence,
    readonly database: string,
  ) {}

  /**
   * Returns tasks of dead workers to the queue. With `everybody`, it returns all claimed tasks, and this worker must have
   * none. Sessions that still exist are terminated; their tasks are returned by the next call.
   */
  async takeBack(everybody = false): Promise<Returned & { readonly sessions: number }> {
    const deadWorkersTasks = `${ours} AND u.state = 'loading' AND ${everybody ? "$4::text IS NOT NULL" : `u.claimed_by <> $4 AND ${claimantIsGone}`}`;
    const session = `a.pid = u.session_pid AND coalesce(a.backend_start::text, u.session_since) = u.session_since`;
    const values = [this.database, this.right.worker];
    const sessions = await this.right.query(
      `SELECT pg_terminate_backend(pid) FROM (
         SELECT DISTINCT a.pid FROM pgmigration.copy_task u JOIN pg_stat_activity a ON ${session}
          WHERE ${deadWorkersTasks} AND ${holdsLease}) AS open`,
      values,
    );
    const rows = await this.right.query<{ id: number; completed: boolean }>(
      `WITH decided AS (
         SELECT u.id, coalesce(txid_status(u.target_xid) = 'committed', false) AS completed
           FROM pgmigration.copy_task u
          WHERE ${deadWorkersTasks} AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE ${session}) AND ${holdsLease}
          FOR UPDATE
       )
       UPDATE pgmigration.copy_task u
          SET state = CASE WHEN completed THEN 'completed' ELSE 'queued' END,
              ended_at = CASE WHEN completed THEN clock_timestamp() END,
              claimed_by = CASE WHEN completed THEN u.claimed_by END,
              bytes_copied = CASE WHEN completed THEN u.bytes_copied ELSE 0 END,
              rows_copied = CASE WHEN completed THEN u.rows_copied ELSE 0 END,
              target_xid = NULL, session_pid = NULL, session_since = NULL, returned = true
         FROM decided WHERE ${ours} AND u.id = decided.id
       RETURNING u.id, completed`,
      values,
    );
    const completed = rows.filter((row) => row.completed).length;
    return { sessions: sessions.length, completed, queued: rows.length - completed };
  }

  /** Removes workers that are silent, so that {@link takeBack} returns their tasks. */
  async evictSilentWorkers(silentForSeconds: number): Promise<void> {
    const open = "pgmigration.copy_task u WHERE u.state = 'loading'";
    await endSilentMembers(this.right, { database: this.database, open, silentForSeconds });
  }

  /** Prevents further claims. Workers that share the copy may not know yet that it has stopped. */
  async pauseClaims(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u SET ready = false WHERE ${ours} AND u.state <> 'completed' AND ${holdsLease}`,
      [this.database],
    );
  }

  /** Ends the effect of {@link pauseClaims}, and queues failed tasks again. */
  async resumeClaims(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u
          SET ready = u.ready OR u.kind = 'table', error = NULL, error_code = NULL,
              state = CASE u.state WHEN 'errored' THEN 'queued' ELSE u.state END,
              returned = u.returned OR u.state = 'errored'
        WHERE ${ours} AND (u.kind = 'table' OR u.state = 'errored') AND ${holdsLease}`,
      [this.database],
    );
    await this.releaseIndexBuilds();
  }

  /** Makes indexes ready if a worker was killed after it completed the table, but before it recorded this. */
  async releaseIndexBuilds(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task i SET ready = true
        WHERE i.migration = $1 AND i.database = $3 AND i.kind = 'index' AND NOT i.ready AND ${holdsLease}
          AND NOT EXISTS (
                SELECT FROM pgmigration.copy_task t
                 WHERE t.migration = $1 AND t.database = $3 AND t.kind = 'table' AND t.state <> 'completed'
                   AND t.table_schema = i.table_schema AND t.table_name = i.table_name)`,
      [this.database],
    );
  }

  /** The tables, qualified and quoted, with a task that is not complete. */
  async incomplete(): Promise<string[]> {
    const rows = await this.right.query<{ schema: string; table: string }>(
      `SELECT DISTINCT u.table_schema AS schema, u.table_name AS "table" FROM pgmigration.copy_task u
        WHERE ${incomplete} AND ${holdsLease}`,
      [this.database],
    );
    return rows.map(({ schema, table }) => qualify(schema, table));
  }

  /** Queues all tasks of the {@link incomplete} tables after {@link pauseClaims}. */
  async restartIncomplete(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u
          SET state = 'queued', ready = false, claimed_by = NULL, bytes_copied = 0, rows_copied = 0, ended_at = NULL
        WHERE ${incomplete} AND ${holdsLease}`,
      [this.database],
    );
  }

  /** Completes the tasks of the {@link incomplete} tables like {@link postpone}. */
  async postponeIncomplete(reason: string): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u
          SET state = 'completed', ended_at = clock_timestamp(), bytes_copied = 0, rows_copied = 0, postponed = $4,
              claimed_by = coalesce(u.claimed_by, $5)
        WHERE ${incomplete} AND ${holdsLease}`,
      [this.database, reason, this.right.worker],
    );
  }

  /** Queues the completed tasks of these tables again after {@link pauseClaims}. */
  async repeat(tables: readonly RelationName[]): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.copy_task u
          SET state = 'queued', ready = false, claimed_by = NULL, bytes_copied = 0, rows_copied = 0, ended_at = NULL
         FROM json_to_recordset($4::json) AS t (schema text, name text)
        WHERE ${ours} AND u.kind = 'table' AND u.table_schema = t.schema AND u.table_name = t.name AND ${holdsLease}`,
      [this.database, JSON.stringify(tables)],
    );
  }
}
