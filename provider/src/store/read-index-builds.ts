import type { IndexBuild } from "../status.js";
import type { Store } from "./store.js";

export interface RunningBuild {
  readonly database: string;
  readonly build: IndexBuild;
}

interface BuildRow {
  readonly database: string;
  readonly index: string;
  readonly table: string;
  readonly seconds: number;
  readonly phase: string | null;
  readonly percent: number | null;
}

/**
 * The running index builds, longest first, from the target's pg_stat_progress_create_index:
 * https://www.postgresql.org/docs/18/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING. The view covers all
 * databases of the server. The percentage is that of the current phase.
 */
export async function readIndexBuilds(store: Store, migration: string): Promise<RunningBuild[]> {
  const [view] = await store.query<{ exists: boolean }>(
    "SELECT to_regclass('pg_catalog.pg_stat_progress_create_index') IS NOT NULL AS exists",
  );
  // The view exists from 12 on.
  const progress = view!.exists ? "pg_catalog.pg_stat_progress_create_index" : noProgress;
  const rows = await store.query<BuildRow>(
    `SELECT u.database, ${indexName} AS index, format('%I.%I', u.table_schema, u.table_name) AS table,
            extract(epoch FROM clock_timestamp() - u.started_at)::float8 AS seconds, p.phase,
            floor(100 * CASE WHEN p.phase LIKE '%scanning%' THEN p.blocks_done::float8 / nullif(p.blocks_total, 0)
                             WHEN p.phase LIKE '%loading%' THEN p.tuples_done::float8 / nullif(p.tuples_total, 0)
                        END) AS percent
       FROM pgmigration.copy_task u LEFT JOIN ${progress} p ON p.pid = u.session_pid
      WHERE u.migration = $1 AND u.kind = 'index' AND u.state = 'loading' AND NOT u.small
      ORDER BY u.started_at, u.id`,
    [migration],
  );
  return rows.map(({ database, index, table, seconds, phase, percent }) => ({
    database,
    build: {
      ...{ index, table, seconds: Math.round(seconds) },
      ...(phase === null ? {} : { phase: phase.replace("building index: ", "") }),
      ...(percent === null ? {} : { percent }),
    },
  }));
}

/** pg_dump writes the table before a constraint's name. */
const indexName =
  "CASE WHEN left(u.entry, length(u.table_name) + 1) = u.table_name || ' ' THEN substr(u.entry, length(u.table_name) + 2) ELSE u.entry END";

const noProgress = `(SELECT NULL::int AS pid, NULL::text AS phase, NULL::bigint AS blocks_done, NULL::bigint AS blocks_total,
        NULL::bigint AS tuples_done, NULL::bigint AS tuples_total WHERE false)`;
