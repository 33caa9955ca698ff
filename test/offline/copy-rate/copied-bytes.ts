import type { Lab } from "../../support/lab";

export interface CopiedBytes extends Record<string, unknown> {
  /** Recorded by all workers; a running copy records its bytes once per second. */
  readonly bytes: number;
  /** From the start of the first table until the end of the last one, or until now. */
  readonly seconds: number;
  /** Number of tables of which at least one row was copied, and of workers that copied them. */
  readonly tables: number;
  readonly workers: number;
}

/** How much of a database was copied in which time, from the records. */
export async function copiedBytes(lab: Lab, database: string): Promise<CopiedBytes> {
  const [copied] = await lab.target.query<CopiedBytes>(
    `SELECT coalesce(sum(bytes_copied), 0)::float8 AS bytes,
            coalesce(extract(epoch FROM max(coalesce(ended_at, clock_timestamp())) - min(started_at)), 0)::float8 AS seconds,
            count(*) FILTER (WHERE bytes_copied > 0)::int AS tables,
            count(DISTINCT claimed_by) FILTER (WHERE bytes_copied > 0)::int AS workers
       FROM pgmigration.copy_task WHERE database = $1 AND kind = 'table' AND claimed_by IS NOT NULL`,
    { values: [database] },
  );
  return copied!;
}
