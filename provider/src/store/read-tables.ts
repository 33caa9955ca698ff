import type { Store } from "./store.js";

/** One table of a migration: the state of its copy, its indexes and its comparison. */
export interface TableRecord {
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  readonly state: "queued" | "loading" | "completed" | "errored";
  readonly bytesCopied: number;
  readonly bytesTotal: number;
  readonly rowsCopied: number;
  readonly rowsEstimated: number;
  /** Changes that are applied since the copy. */
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly indexesCompleted: number;
  readonly indexesTotal: number;
  /** Null until it is compared. */
  readonly equal: boolean | null;
  /** The method of the comparison; null before it. */
  readonly by: "content" | "counts" | null;
  readonly sourceRows: number | null;
  readonly targetRows: number | null;
  /** The first rows that differ, as recorded by the comparison. */
  readonly differences: unknown;
  readonly error: string | null;
}

/** All tables by database, schema and name. The parts of a table are combined. */
export async function readTables(store: Store, migration: string): Promise<TableRecord[]> {
  return store.query<TableRecord>(
    `SELECT u.database, u.table_schema AS schema, u.table_name AS table,
            CASE WHEN bool_or(u.state = 'errored') THEN 'errored'
                 WHEN bool_and(u.state = 'completed') FILTER (WHERE u.kind = 'table') THEN 'completed'
                 WHEN bool_and(u.state = 'queued') FILTER (WHERE u.kind = 'table') THEN 'queued'
                 ELSE 'loading' END AS state,
            coalesce(sum(u.bytes_copied) FILTER (WHERE u.kind = 'table'), 0)::float8 AS "bytesCopied",
            coalesce(sum(u.bytes_total) FILTER (WHERE u.kind = 'table'), 0)::float8 AS "bytesTotal",
            coalesce(sum(u.rows_copied) FILTER (WHERE u.kind = 'table'), 0)::float8 AS "rowsCopied",
            coalesce(sum(greatest(u.rows_estimated, u.rows_copied)) FILTER (WHERE u.kind = 'table'), 0)::float8
              AS "rowsEstimated",
            coalesce(max(t.inserts), 0)::float8 AS inserts, coalesce(max(t.updates), 0)::float8 AS updates,
            coalesce(max(t.deletes), 0)::float8 AS deletes,
            (count(*) FILTER (WHERE u.kind = 'index' AND u.state = 'completed'))::float8 AS "indexesCompleted",
            (count(*) FILTER (WHERE u.kind = 'index'))::float8 AS "indexesTotal",
            bool_and(c.equal) AS equal, max(c.compared_by) AS by, max(c.source_rows)::float8 AS "sourceRows",
            max(c.target_rows)::float8 AS "targetRows",
            CASE WHEN NOT bool_and(c.equal) THEN (array_agg(c.differences))[1] END AS differences,
            string_agg(u.error, E'\\n') AS error
       FROM pgmigration.copy_task u
       LEFT JOIN pgmigration.comparison c USING (migration, database, table_schema, table_name)
       LEFT JOIN pgmigration.table_changes t USING (migration, database, table_schema, table_name)
      WHERE u.migration = $1
      GROUP BY u.database, u.table_schema, u.table_name
      ORDER BY u.database, u.table_schema, u.table_name`,
    [migration],
  );
}
