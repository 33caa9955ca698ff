import type { MigrationRecord } from "../store/records.js";
import type { Store } from "../store/store.js";
import type { MigrationReport } from "./report-schema.js";

/** SQL: a time as in JSON. */
export const isoTime = (column: string): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Rows of JSON, without properties that are null. */
async function objects<Row>(store: Store, sql: string, migration: string): Promise<Row[]> {
  const rows = await store.query<{ one: Row }>(`SELECT json_strip_nulls(row_to_json(r)) AS one FROM (${sql}) r`, [
    migration,
  ]);
  return rows.map(({ one }) => one);
}

export const readReportedDatabases = (store: Store, migration: string): Promise<MigrationReport["databases"]> =>
  objects(
    store,
    `SELECT name, target_name AS "targetName", state, phase, message, ${isoTime("started_at")} AS "startedOn",
            ${isoTime("ended_at")} AS "endedOn", snapshot_lsn AS "snapshotLsn", cutover_lsn AS "cutoverLsn",
            CASE WHEN follow IS NOT NULL
                 THEN json_build_object('inserts', follow -> 'inserts', 'updates', follow -> 'updates',
                                        'deletes', follow -> 'deletes') END AS changes
       FROM pgmigration.database WHERE migration = $1 ORDER BY name`,
    migration,
  );

/** Parts of a table are combined. Tables that joined the stream later have no copy task, but they are compared. */
export const readReportedTables = (store: Store, migration: string): Promise<MigrationReport["tables"]> =>
  objects(
    store,
    `SELECT database, table_schema AS schema, table_name AS "table", coalesce(t.state, 'streamed') AS state,
            coalesce(t.rows, 0) AS "rowsCopied", coalesce(t.bytes, 0) AS "bytesCopied", t.error,
            CASE WHEN x.inserts IS NOT NULL
                 THEN json_build_object('inserts', x.inserts, 'updates', x.updates, 'deletes', x.deletes) END AS changes,
            CASE WHEN c.at IS NOT NULL THEN json_build_object(
              'result', CASE WHEN c.equal THEN 'equal' ELSE 'different' END, 'by', coalesce(c.compared_by, 'content'),
              'occasion', coalesce(c.occasion, 'copy'), 'lsn', coalesce(c.lsn, d.snapshot_lsn),
              'at', ${isoTime("c.at")}, 'sourceRows', c.source_rows, 'targetRows', c.target_rows,
              'firstDifferences', CASE WHEN NOT c.equal THEN c.differences END) END AS comparison
       FROM (SELECT database, table_schema, table_name, sum(rows_copied) AS rows, sum(bytes_copied) AS bytes,
                    CASE WHEN bool_or(state = 'errored') THEN 'errored' WHEN bool_and(state = 'completed') THEN 'completed'
                         WHEN bool_and(state = 'queued') THEN 'queued' ELSE 'loading' END AS state,
                    coalesce(string_agg(error, E'\\n'), max(postponed)) AS error
               FROM pgmigration.copy_task WHERE migration = $1 AND kind = 'table'
              GROUP BY database, table_schema, table_name) t
       FULL JOIN (SELECT * FROM pgmigration.comparison WHERE migration = $1) c USING (database, table_schema, table_name)
       JOIN pgmigration.database d ON d.migration = $1 AND d.name = database
       LEFT JOIN (SELECT * FROM pgmigration.table_changes WHERE migration = $1) x USING (database, table_schema, table_name)
      ORDER BY database, table_schema, table_name`,
    migration,
  );

export const readReportedSequences = (store: Store, migration: string): Promise<MigrationReport["sequences"]> =>
  objects(
    store,
    `SELECT database, schema, name AS sequence, last_value::text AS "lastValue", is_called AS "isCalled",
            set_on AS "setOn", ${isoTime("at")} AS at
       FROM pgmigration.sequence_value WHERE migration = $1 ORDER BY database, schema, name`,
    migration,
  );

/** Changes of state, from the start of the migration. */
export async function readTimeline(
  store: Store,
  { name, startedOn }: MigrationRecord,
): Promise<MigrationReport["timeline"]> {
  const start = { at: startedOn.toISOString(), state: "InProgress", subState: "PerformingPreRequisiteSteps" };
  const changes = await objects<MigrationReport["timeline"][number]>(
    store,
    `SELECT ${isoTime("at")} AS at, database, state, sub_state AS "subState", error
       FROM pgmigration.state_change WHERE migration = $1 ORDER BY id`,
    name,
  );
  return [start, ...changes];
}

export async function countEvents(store: Store, migration: string): Promise<number> {
  const [row] = await store.query<{ events: number }>(
    "SELECT count(*)::int AS events FROM pgmigration.event WHERE migration = $1",
    [migration],
  );
  return row!.events;
}
