import type { RelationName } from "../../postgres/identifiers.js";
import type { TableComparison } from "../../verify/compare-tables.js";
import { holdsLease, type WriteFence } from "../lease.js";
import { claimantIsGone, endSilentMembers } from "../membership.js";
import { ours } from "./copy-task.js";
import { deleteComparisons, type SharedComparison } from "./shared-comparison.js";

export interface TableOfTask extends RelationName {
  /** SQL conditions on the rows, if the task is a part of the table. The task then has no other table. */
  readonly parts?: readonly string[] | undefined;
}

/** Tables, or a part of one, that one worker compares together. */
export interface ComparisonTask {
  readonly id: number;
  readonly tables: readonly TableOfTask[];
  readonly bytes: number;
}

export interface ClaimedComparison extends ComparisonTask {
  /** Bytes of the first table in all its open tasks, divided by the number of workers. */
  readonly bytesLeft: number;
}

/** What a helper has to know while it compares. */
export interface ComparisonState {
  /** Seconds since the target rests; undefined before that. */
  readonly restsForSeconds: number | undefined;
}

/**
 * The tasks of one comparison, which workers claim one after another. A worker claims one task at a time. Tasks of lost workers
 * are compared again, which changes nothing.
 */
export class ComparisonTasks {
  /** @param comparison `SharedComparison.id`: a worker claims no task of another comparison, which has another snapshot */
  constructor(
    readonly right: WriteFence,
    readonly database: string,
    readonly comparison: string,
  ) {}

  /** Replaces the comparison of the database, also that of an earlier attempt. @param rests whether the target already rests */
  async begin(description: SharedComparison, tasks: readonly ComparisonTask[], rests: boolean): Promise<void> {
    await this.end();
    await this.right.query(
      `INSERT INTO pgmigration.comparison_task (migration, database, id, copy, tables, bytes)
       SELECT $1, $3, u.id, $5, u.tables, u.bytes FROM json_to_recordset($4::json) AS u (id int, tables jsonb, bytes int8)
        WHERE ${holdsLease} ON CONFLICT DO NOTHING`,
      [this.database, JSON.stringify(tasks), this.comparison],
    );
    await this.right.query(
      `INSERT INTO pgmigration.shared_comparison (migration, database, id, generation, description, target_rests_at)
       SELECT $1, $3, $4, $2::bigint, $5::jsonb, CASE WHEN $6::boolean THEN clock_timestamp() END
        WHERE ${holdsLease} ON CONFLICT DO NOTHING`,
      [this.database, this.comparison, JSON.stringify(description), rests],
    );
  }

  end(): Promise<void> {
    return deleteComparisons(this.right, this.database);
  }

  async targetRests(): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.shared_comparison SET target_rests_at = clock_timestamp()
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${holdsLease}`,
      [this.database, this.comparison],
    );
  }

  /** Undefined when the comparison is over, or has another leader. */
  async state(): Promise<ComparisonState | undefined> {
    const [row] = await this.right.query<{ seconds: number | null }>(
      `SELECT extract(epoch FROM clock_timestamp() - target_rests_at)::float8 AS seconds FROM pgmigration.shared_comparison
        WHERE migration = $1 AND database = $3 AND id = $4 AND ${holdsLease}`,
      [this.database, this.comparison],
    );
    return row && { restsForSeconds: row.seconds ?? undefined };
  }

  /** A claimed task without a result is this worker's own: the response to its claim was lost. */
  async claim(): Promise<ClaimedComparison | undefined> {
    const [task] = await this.right.query<ClaimedComparison>(
      `UPDATE pgmigration.comparison_task u SET claimed_by = $4
        WHERE ${ours} AND ${holdsLease} AND u.id = (
          SELECT c.id FROM pgmigration.comparison_task c
           WHERE c.migration = $1 AND c.database = $3 AND c.copy = $5 AND c.results IS NULL
             AND (c.claimed_by IS NULL OR c.claimed_by = $4)
           ORDER BY c.claimed_by IS NULL, c.id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING u.id, u.tables, u.bytes::float8 AS bytes,
         (SELECT sum(o.bytes) FILTER (WHERE o.results IS NULL AND o.tables -> 0 ->> 'schema' = u.tables -> 0 ->> 'schema'
                                        AND o.tables -> 0 ->> 'name' = u.tables -> 0 ->> 'name')
                 / (1 + count(DISTINCT o.claimed_by) FILTER (WHERE o.claimed_by <> $4))
            FROM pgmigration.comparison_task o WHERE o.migration = u.migration AND o.database = u.database)::float8 AS "bytesLeft"`,
      [this.database, this.right.worker, this.comparison],
    );
    return task;
  }

  async complete(id: number, results: readonly TableComparison[]): Promise<void> {
    await this.right.query(
      `UPDATE pgmigration.comparison_task u SET results = $5::jsonb
        WHERE ${ours} AND u.id = $4 AND u.claimed_by = $6 AND u.copy = $7 AND ${holdsLease}`,
      [this.database, id, JSON.stringify(results), this.right.worker, this.comparison],
    );
  }

  /** Returns the tasks of lost workers, whose names are the result. */
  async takeBack(): Promise<string[]> {
    const rows = await this.right.query<{ worker: string }>(
      `WITH lost AS (
         SELECT u.id, u.claimed_by FROM pgmigration.comparison_task u
          WHERE ${ours} AND u.results IS NULL AND u.claimed_by <> $4 AND ${claimantIsGone} AND ${holdsLease} FOR UPDATE)
       UPDATE pgmigration.comparison_task u SET claimed_by = NULL FROM lost
        WHERE ${ours} AND u.id = lost.id RETURNING lost.claimed_by AS worker`,
      [this.database, this.right.worker],
    );
    return rows.map(({ worker }) => worker);
  }

  /** {@link endSilentMembers} */
  async evictSilentWorkers(silentForSeconds: number): Promise<void> {
    const open = "pgmigration.comparison_task u WHERE u.claimed_by IS NOT NULL AND u.results IS NULL";
    await endSilentMembers(this.right, { database: this.database, open, silentForSeconds });
  }

  /** The other workers that compare now. */
  async others(): Promise<string[]> {
    const rows = await this.right.query<{ worker: string }>(
      `SELECT DISTINCT u.claimed_by AS worker FROM pgmigration.comparison_task u
        WHERE ${ours} AND u.results IS NULL AND u.claimed_by <> $4 AND ${holdsLease}`,
      [this.database, this.right.worker],
    );
    return rows.map(({ worker }) => worker);
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
      `SELECT u.results, u.claimed_by AS worker FROM pgmigration.comparison_task u WHERE ${ours} AND ${holdsLease} ORDER BY u.id`,
      [this.database],
    );
    return { results: rows.flatMap(({ results }) => results), workers: new Set(rows.map(({ worker }) => worker)).size };
  }
}
