import type { Client } from "pg";
import { EngineError, TakenOverError } from "../../errors.js";
import { applicationNamePrefix, ownerSeparator } from "../../postgres/connection/connect.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { createControlSchema, refuseUntrustedSchema } from "../../postgres/schema-trust.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { addTable, type ChangeCounts, type TableChanges, type TableCounts } from "../model/change-counts.js";
import type { Statement } from "../wire/pipelined-queries.js";
import { createApplySessionTables } from "./apply-session-progress.js";
import type { ProgressStep } from "./progress-step.js";
import { applyingPurpose } from "./target-session.js";

/** Distinguishes a slot from a later one with the same name. */
export interface SlotIdentity {
  readonly slot: string;
  /** The LSN from which on the slot's stream is complete. The exported snapshot has the content at this LSN. */
  readonly consistentPoint: Lsn;
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** How far the changes of the source have been applied to one migrated database. */
export interface Progress extends SlotIdentity {
  /** Rises with every takeover. Only the worker with the latest generation may write. */
  readonly generation: number;
  /** The end of the commit record of the last applied transaction; the consistent point before the first transaction. */
  readonly lastCommitEndLsn: Lsn;
  /**
   * Every transaction that committed at or before this LSN is applied. It is later than lastCommitEndLsn if the source's WAL
   * after that has no replicated changes.
   */
  readonly appliedThroughLsn: Lsn;
  /** Source clock. */
  readonly commitTime: Date | undefined;
  readonly counts: ChangeCounts;
}

export const progressTables = ["apply_session", "apply_division", "table_progress", "progress", "unfinished"] as const;

/** Comments only on a table that it creates: only one session can do so, and only the owner. */
const createMarks = `
DO $$
BEGIN
  IF pg_catalog.to_regclass('pgmigration.unfinished') IS NOT NULL THEN RETURN; END IF;
  CREATE TABLE IF NOT EXISTS pgmigration.unfinished (migration text PRIMARY KEY);
  COMMENT ON TABLE pgmigration.unfinished IS 'The migration that created this database and has not handed it over. Its next attempt may replace the database';
END $$`;

const createTables = `
${createControlSchema};
CREATE TABLE IF NOT EXISTS pgmigration.progress (
  migration text PRIMARY KEY,
  generation bigint NOT NULL,
  slot text NOT NULL,
  consistent_point pg_lsn NOT NULL,
  system_identifier text NOT NULL,
  timeline int NOT NULL,
  last_commit_end_lsn pg_lsn NOT NULL,
  applied_through_lsn pg_lsn NOT NULL,
  commit_time timestamptz,
  inserts bigint NOT NULL DEFAULT 0,
  updates bigint NOT NULL DEFAULT 0,
  deletes bigint NOT NULL DEFAULT 0,
  truncates bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS pgmigration.table_progress (
  migration text NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  inserts bigint NOT NULL,
  updates bigint NOT NULL,
  deletes bigint NOT NULL,
  truncates bigint NOT NULL,
  PRIMARY KEY (migration, table_schema, table_name)
);
${createApplySessionTables};
${createMarks}`;

/**
 * Marks a database that a migration has just created. While the mark stays, only the migration uses the database, so that its next
 * attempt may replace it. {@link dropProgress} removes the mark when the database is handed over.
 */
export async function markUnfinished(target: Client, migration: string): Promise<void> {
  await target.query(createTables);
  await refuseUntrustedSchema(target);
  await target.query("INSERT INTO pgmigration.unfinished (migration) VALUES ($1)", [migration]);
}

/**
 * Begins the progress of a migration at its slot's consistent point, in the migrated database on the target. A repeated call
 * for the same slot changes only the generation.
 *
 * @throws EngineError if the progress belongs to another slot; the caller decides whether to drop it
 */
export async function initProgress(
  target: Client,
  migration: string,
  generation: number,
  identity: SlotIdentity,
): Promise<void> {
  await refuseUntrustedSchema(target);
  await target.query(createTables);
  // Another role may have created it meanwhile.
  await refuseUntrustedSchema(target);
  await target.query(
    `INSERT INTO pgmigration.progress
       (migration, generation, slot, consistent_point, system_identifier, timeline, last_commit_end_lsn, applied_through_lsn)
     VALUES ($1, $2, $3, $4, $5, $6, $4, $4) ON CONFLICT (migration) DO NOTHING`,
    [
      migration,
      generation,
      identity.slot,
      formatLsn(identity.consistentPoint),
      identity.systemIdentifier,
      identity.timeline,
    ],
  );
  const progress = await readProgress(target, migration);
  if (progress?.slot !== identity.slot || progress.consistentPoint !== identity.consistentPoint)
    throw new EngineError(
      `progress of ${migration} belongs to slot ${progress?.slot ?? "(none)"} at ` +
        `${progress ? formatLsn(progress.consistentPoint) : "-"}, not to ${identity.slot} at ${formatLsn(identity.consistentPoint)}`,
      { remedy: "drop the progress of the former slot before a copy with a new slot" },
    );
  if (progress.generation !== generation) await takeOverProgress(target, migration, generation);
}

/** An applying session waits for its client only between the round trips of a batch, which are short. */
const stuckAfterSeconds = 60;

/**
 * Makes `generation` the only one that may write, and returns the progress of its predecessor. A suspended worker would keep
 * the locks of its open transaction, so such a session is terminated.
 *
 * @throws TakenOverError if a later generation has taken over
 */
export async function takeOverProgress(target: Client, migration: string, generation: number): Promise<Progress> {
  await target.query(
    `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
      WHERE datname = current_database() AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()
        AND split_part(application_name, $3, 1) = $1 AND state = 'idle in transaction'
        AND state_change < clock_timestamp() - make_interval(secs => $2)`,
    [applicationNamePrefix + applyingPurpose, stuckAfterSeconds, ownerSeparator],
  );
  const { rows } = await target.query<ProgressRow>(
    "UPDATE pgmigration.progress SET generation = $2 WHERE migration = $1 AND generation <= $2 RETURNING *",
    [migration, generation],
  );
  if (!rows[0]) throw new TakenOverError(`another worker has taken over the changes of ${migration}`);
  return progressOf(rows[0]);
}

interface ProgressRow {
  readonly generation: string;
  readonly slot: string;
  readonly consistent_point: string;
  readonly system_identifier: string;
  readonly timeline: number;
  readonly last_commit_end_lsn: string;
  readonly applied_through_lsn: string;
  readonly commit_time: Date | null;
  readonly inserts: string;
  readonly updates: string;
  readonly deletes: string;
  readonly truncates: string;
}

/** Undefined if this database has no progress of the migration. */
export async function readProgress(target: Client, migration: string): Promise<Progress | undefined> {
  await refuseUntrustedSchema(target);
  try {
    const { rows } = await target.query<ProgressRow>("SELECT * FROM pgmigration.progress WHERE migration = $1", [
      migration,
    ]);
    return rows[0] && progressOf(rows[0]);
  } catch (error) {
    if (sqlStateOf(error) !== sqlStates.undefinedTable) throw error;
    return undefined;
  }
}

const progressOf = (row: ProgressRow): Progress => ({
  generation: Number(row.generation),
  slot: row.slot,
  consistentPoint: parseLsn(row.consistent_point),
  systemIdentifier: row.system_identifier,
  timeline: row.timeline,
  lastCommitEndLsn: parseLsn(row.last_commit_end_lsn),
  appliedThroughLsn: parseLsn(row.applied_through_lsn),
  commitTime: row.commit_time ?? undefined,
  counts: countsOf(row),
});

const countsOf = (row: Pick<ProgressRow, keyof ChangeCounts>): ChangeCounts => ({
  inserts: Number(row.inserts),
  updates: Number(row.updates),
  deletes: Number(row.deletes),
  truncates: Number(row.truncates),
});

/** The applied changes of each table. */
export async function readTableProgress(target: Client, migration: string): Promise<TableCounts> {
  const { rows } = await target.query<Pick<ProgressRow, keyof ChangeCounts> & Pick<TableChanges, "schema" | "table">>(
    `SELECT table_schema AS schema, table_name AS "table", inserts, updates, deletes, truncates
       FROM pgmigration.table_progress WHERE migration = $1`,
    [migration],
  );
  const tables = new Map<string, TableChanges>();
  for (const { schema, table, ...counts } of rows) addTable(tables, { schema, table, ...countsOf(counts) });
  return tables;
}

/**
 * The last statement of every transaction that applies changes, so that both are committed together. It updates the row only
 * if this generation still holds the progress, and the position is the expected one. It must affect one row. Otherwise throw
 * {@link takenOver}, and never commit the transaction.
 */
export const advanceStatement = (step: ProgressStep): Statement => ({
  prepared: true,
  text: `WITH counted AS (
           INSERT INTO pgmigration.table_progress AS known
           SELECT $1::text, t.* FROM pg_catalog.json_to_recordset($11::json)
             AS t (schema text, "table" text, inserts int8, updates int8, deletes int8, truncates int8)
           ON CONFLICT (migration, table_schema, table_name) DO UPDATE
              SET inserts = known.inserts + excluded.inserts, updates = known.updates + excluded.updates,
                  deletes = known.deletes + excluded.deletes, truncates = known.truncates + excluded.truncates)
         UPDATE pgmigration.progress
            SET last_commit_end_lsn = $4, applied_through_lsn = $5,
                commit_time = coalesce(pg_catalog.to_timestamp($6::float8 OPERATOR(pg_catalog./) 1000), commit_time),
                inserts = inserts + $7, updates = updates + $8, deletes = deletes + $9, truncates = truncates + $10
          WHERE migration = $1 AND generation = $2 AND applied_through_lsn = $3`,
  values: [
    step.migration,
    String(step.generation),
    formatLsn(step.from),
    formatLsn(step.lastCommitEndLsn),
    formatLsn(step.appliedThroughLsn),
    step.commitTimeMs === undefined ? null : String(step.commitTimeMs),
    String(step.counts.all.inserts),
    String(step.counts.all.updates),
    String(step.counts.all.deletes),
    String(step.counts.all.truncates),
    JSON.stringify([...step.counts.tables.values()]),
  ],
});

export const takenOver = ({ migration, from }: ProgressStep): TakenOverError =>
  new TakenOverError(
    `progress of ${migration} is no longer at ${formatLsn(from)}: another worker has taken over its changes`,
  );

/**
 * Hands the database over: deletes a migration's progress and its mark; idempotent. Drops the schema as well if it is empty then.
 */
export async function dropProgress(target: Client, migration: string): Promise<void> {
  if (!(await hasProgressTable(target))) return;
  // An earlier version did not create it.
  await target.query(createMarks);
  const deletions = progressTables.map(
    (table) => `from_${table} AS (DELETE FROM pgmigration.${table} WHERE migration = $1)`,
  );
  await target.query(`WITH ${deletions.join(", ")} SELECT`, [migration]);
  // One statement: progress that another migration begins meanwhile is either seen, or waits for the lock.
  await target.query(`
    DO $$
    BEGIN
      LOCK TABLE pgmigration.progress, pgmigration.unfinished IN ACCESS EXCLUSIVE MODE;
      IF EXISTS (SELECT FROM pgmigration.progress) OR EXISTS (SELECT FROM pgmigration.unfinished) THEN RETURN; END IF;
      DROP TABLE ${progressTables.map((table) => `pgmigration.${table}`).join(", ")};
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = 'pgmigration'::pg_catalog.regnamespace) THEN
        DROP SCHEMA pgmigration;
      END IF;
    END $$`);
}

/**
 * Whether the table exists. Call it before any other statement on the table.
 *
 * @throws RefusedError if another role could run code by the table, which may be a view
 */
export async function hasProgressTable(target: Client): Promise<boolean> {
  const { rows } = await target.query<{ found: boolean }>(
    "SELECT to_regclass('pgmigration.progress') IS NOT NULL AS found",
  );
  if (rows[0]!.found) await refuseUntrustedSchema(target);
  return rows[0]!.found;
}
