import type { Client } from "pg";
import { EngineError, TakenOverError } from "../../errors.js";
import { applicationNamePrefix, ownerSeparator } from "../../postgres/connection/connect.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { ChangeCounts } from "../model/change-counts.js";
import type { Statement } from "../wire/pipelined-queries.js";
import { applyingPurpose } from "./target-session.js";

/** What tells a slot from another one that was made later under the same name. */
export interface SlotIdentity {
  readonly slot: string;
  /** The position from which on the slot's stream is complete, and at which its exported snapshot was taken. */
  readonly consistentPoint: Lsn;
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** How far the changes of the source have been applied to one migrated database. */
export interface Progress extends SlotIdentity {
  /** Grows with every take-over; only its holder may write. */
  readonly generation: number;
  /** The end of the commit record of the last transaction applied; the consistent point before the first one. */
  readonly lastCommitEndLsn: Lsn;
  /** Every transaction that committed at or before is applied: lastCommitEndLsn, or beyond where the source had nothing for us. */
  readonly appliedThroughLsn: Lsn;
  /** By the source's clock. */
  readonly commitTime: Date | undefined;
  readonly counts: ChangeCounts;
}

const createTable = `
CREATE SCHEMA IF NOT EXISTS pgmigration;
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
)`;

/**
 * Begins the progress of a migration at its slot's consistent point, in the migrated database on the target. Called
 * again for the same slot it changes nothing but the generation.
 *
 * @throws EngineError when progress of another slot is there: dropping it is the caller's decision
 */
export async function initProgress(
  target: Client,
  migration: string,
  generation: number,
  identity: SlotIdentity,
): Promise<void> {
  await target.query(createTable);
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
      { remedy: "drop the progress of the former slot before a copy under a new one" },
    );
  if (progress.generation !== generation) await takeOverProgress(target, migration, generation);
}

/** A session that applies waits for its client between the round trips of a batch, not for minutes. */
const stuckAfterSeconds = 60;

/**
 * Makes `generation` the only one that may write, from now on, and answers how far the others have come. A worker that
 * was stopped within a transaction would keep its locks for ever: such a session is ended.
 *
 * @throws TakenOverError when a later generation has it
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
  if (!rows[0])
    throw new TakenOverError(
      `progress of ${migration} is written by a worker of a later generation than ${generation}`,
    );
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

/** Undefined when this database has no progress of that migration. */
export async function readProgress(target: Client, migration: string): Promise<Progress | undefined> {
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
  counts: {
    inserts: Number(row.inserts),
    updates: Number(row.updates),
    deletes: Number(row.deletes),
    truncates: Number(row.truncates),
  },
});

export interface ProgressStep {
  readonly migration: string;
  readonly generation: number;
  /** The appliedThroughLsn that this step starts from. */
  readonly from: Lsn;
  readonly lastCommitEndLsn: Lsn;
  readonly appliedThroughLsn: Lsn;
  readonly commitTimeMs: number | undefined;
  readonly counts: ChangeCounts;
}

/**
 * The last statement of every transaction that applies changes: it commits with them or not at all, and only the
 * holder of the generation, going on from where it believes to be, may execute it. It must affect one row: else
 * {@link takenOver}, and nothing of the transaction may be committed.
 */
export const advanceStatement = (step: ProgressStep): Statement => ({
  prepared: true,
  text: `UPDATE pgmigration.progress
            SET last_commit_end_lsn = $4, applied_through_lsn = $5,
                commit_time = coalesce(to_timestamp($6::float8 / 1000), commit_time),
                inserts = inserts + $7, updates = updates + $8, deletes = deletes + $9, truncates = truncates + $10
          WHERE migration = $1 AND generation = $2 AND applied_through_lsn = $3`,
  values: [
    step.migration,
    String(step.generation),
    formatLsn(step.from),
    formatLsn(step.lastCommitEndLsn),
    formatLsn(step.appliedThroughLsn),
    step.commitTimeMs === undefined ? null : String(step.commitTimeMs),
    String(step.counts.inserts),
    String(step.counts.updates),
    String(step.counts.deletes),
    String(step.counts.truncates),
  ],
});

export const takenOver = ({ migration, generation, from }: ProgressStep): TakenOverError =>
  new TakenOverError(
    `progress of ${migration} is no longer at ${formatLsn(from)} in generation ${generation}: another ` +
      "worker has gone on with this migration",
  );

/** Forgets a migration's progress; idempotent. The schema goes too once nothing is left in it. */
export async function dropProgress(target: Client, migration: string): Promise<void> {
  if (!(await hasProgressTable(target))) return;
  await target.query("DELETE FROM pgmigration.progress WHERE migration = $1", [migration]);
  // One statement, so that progress which another migration begins meanwhile is either seen or waits for the lock.
  await target.query(`
    DO $$
    BEGIN
      LOCK TABLE pgmigration.progress IN ACCESS EXCLUSIVE MODE;
      IF EXISTS (SELECT FROM pgmigration.progress) THEN RETURN; END IF;
      DROP TABLE pgmigration.progress;
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = 'pgmigration'::pg_catalog.regnamespace) THEN
        DROP SCHEMA pgmigration;
      END IF;
    END $$`);
}

async function hasProgressTable(target: Client): Promise<boolean> {
  const { rows } = await target.query<{ found: boolean }>(
    "SELECT to_regclass('pgmigration.progress') IS NOT NULL AS found",
  );
  return rows[0]!.found;
}
