import type { RelationName } from "../../postgres/identifiers.js";
import type { TableComparison } from "../../verify/compare-tables.js";
import { holdsLease, type WriteFence } from "../lease.js";
import { claimantIsGone } from "../membership.js";
import { ours } from "./copy-task.js";

/** Tables that one worker compares together. */
export interface ComparisonTask {
  readonly id: number;
  readonly tables: readonly RelationName[];
}

export interface NewComparisonTask extends ComparisonTask {
  readonly bytes: number;
}

/**
 * The comparison of one shared copy, which its workers claim group by group. A worker claims one group at a time. Groups of lost
 * workers are compared again, which changes nothing.
 */
export class ComparisonTasks {
  /** @param copy `SharedCopy.id`: a worker claims no group of another copy, which has another snapshot */
  constructor(
    readonly right: WriteFence,
    readonly database: string,
    readonly copy: string,
  ) {}

  /** Replaces all groups of the database, also those of an earlier attempt. */
  async replace(tasks: readonly NewComparisonTask[]): Promise<void> {
    await this.right.query(
      `DELETE FROM pgmigration.comparison_task WHERE migration = $1 AND database = $3 AND ${holdsLease}`,
      [this.database],
    );
    await this.right.query(
      `INSERT INTO pgmigration.comparison_task (migration, database, id, copy, tables, bytes)
       SELECT $1, $3, u.id, $5, u.tables, u.bytes FROM json_to_recordset($4::json) AS u (id int, tables jsonb, bytes int8)
        WHERE ${holdsLease} ON CONFLICT DO NOTHING`,
      [this.database, JSON.stringify(tasks), this.copy],
    );
  }

  /** A claimed group without a result is this worker's own: the response to its claim was lost. */
  async claim(): Promise<ComparisonTask | undefined> {
    const [task] = await this.right.query<ComparisonTask>(
      `UPDATE pgmigration.comparison_task u SET claimed_by = $4
        WHERE ${ours} AND ${holdsLease} AND u.id = (
          SELECT c.id FROM pgmigration.comparison_task c
           WHERE c.migration = $1 AND c.database = $3 AND c.copy = $5 AND c.results IS NULL
             AND (c.claimed_by IS NULL OR c.claimed_by = $4)
           ORDER BY c.claimed_by IS NULL, c.id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING u.id, u.tables`,
      [this.database, this.right.worker, this.copy],
    );
    return task;
  }

  async complete(id: number, results: readonly TableComparison[]): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.comparison_task u SET results = $5::jsonb
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $6 AND ${holdsLease}`,
      [this.database, id, JSON.stringify(results), this.right.worker],
    );
  }

  /** Returns the groups of lost workers. */
  async takeBack(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.comparison_task u SET claimed_by = NULL
        WHERE ${ours} AND u.results IS NULL AND u.claimed_by <> $4 AND ${claimantIsGone} AND ${holdsLease}`,
      [this.database, this.right.worker],
    );
  }

  async progress(): Promise<{ readonly open: number; readonly bytesCompared: number }> {
    const [row] = await this.right.query<{ open: number; bytesCompared: number }>(
      `SELECT count(*) FILTER (WHERE u.results IS NULL)::float8 AS open,
              coalesce(sum(u.bytes) FILTER (WHERE u.results IS NOT NULL), 0)::float8 AS "bytesCompared"
         FROM pgmigration.comparison_task u WHERE ${ours} AND ${holdsLease}`,
      [this.database],
    );
    return row!;
  }

  /** The results of all workers, and the number of workers. */
  async results(): Promise<{ readonly results: readonly TableComparison[]; readonly workers: number }> {
    const rows = await this.right.query<{ results: TableComparison[]; worker: string }>(
      `SELECT u.results, u.claimed_by AS worker FROM pgmigration.comparison_task u WHERE ${ours} AND ${holdsLease}`,
      [this.database],
    );
    return { results: rows.flatMap(({ results }) => results), workers: new Set(rows.map(({ worker }) => worker)).size };
  }

  /** Whether the leader has no more groups of this copy: all are compared, or the copy has ended. */
  async isOver(): Promise<boolean> {
    const rows = await this.right.query(
      `SELECT FROM pgmigration.database d
        WHERE d.migration = $1 AND d.name = $3 AND d.shared_copy ->> 'id' = $4
          AND d.shared_copy ->> 'tablesCopied' = 'false' AND ${holdsLease}`,
      [this.database, this.copy],
    );
    return rows.length === 0;
  }
}
