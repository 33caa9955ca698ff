import type { Client } from "pg";
import { TakenOverError } from "../../errors.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import type { Division, TableDivision } from "../division/division.js";
import type { Statement } from "../wire/pipelined-queries.js";
import type { ProgressStep } from "./progress-step.js";

/** How far the apply sessions of a migration have come, and how they divide changes. */
export interface ApplySessionProgress {
  readonly division: Division;
  /** For each session: its part of every transaction that committed at or before this LSN is applied. */
  readonly appliedThroughLsns: readonly Lsn[];
}

/** Who may write: see {@link ProgressStep}. */
export type ProgressHolder = Pick<ProgressStep, "migration" | "generation" | "from">;

export const createApplySessionTables = `
CREATE TABLE IF NOT EXISTS pgmigration.apply_division (
  migration text PRIMARY KEY,
  sessions int NOT NULL,
  tables json NOT NULL
);
CREATE TABLE IF NOT EXISTS pgmigration.apply_session (
  migration text NOT NULL,
  session int NOT NULL,
  generation bigint NOT NULL,
  applied_through_lsn pg_lsn NOT NULL,
  PRIMARY KEY (migration, session)
)`;

/**
 * Makes `generation` the only one whose apply sessions may write, and reads their progress. It waits for a predecessor's session
 * that is about to commit.
 *
 * @returns undefined if no division was recorded
 */
export async function holdApplySessions(
  target: Client,
  migration: string,
  generation: number,
): Promise<ApplySessionProgress | undefined> {
  const { rows } = await target.query<{
    sessions: number;
    tables: readonly (readonly [string, TableDivision])[];
    lsns: readonly string[];
  }>(
    `WITH held AS (UPDATE pgmigration.apply_session SET generation = $2 WHERE migration = $1 AND generation <= $2
                   RETURNING session, applied_through_lsn)
     SELECT sessions, tables, ARRAY(SELECT applied_through_lsn::text FROM held ORDER BY session) AS lsns
       FROM pgmigration.apply_division WHERE migration = $1`,
    [migration, generation],
  );
  const recorded = rows[0];
  if (!recorded) return undefined;
  const { sessions, tables, lsns } = recorded;
  if (lsns.length !== sessions) throw new TakenOverError(`another worker has taken over the changes of ${migration}`);
  return { division: { sessions, tables: new Map(tables) }, appliedThroughLsns: lsns.map(parseLsn) };
}

/**
 * Records a division before any session uses it, and sets all sessions to the position of the progress row. No session may have
 * applied changes after that position.
 *
 * @throws TakenOverError if another worker has taken over
 */
export async function recordDivision(
  target: Client,
  { migration, generation, from }: ProgressHolder,
  { sessions, tables }: Division,
): Promise<void> {
  await target.query("BEGIN");
  try {
    const { rowCount } = await target.query(
      `UPDATE pgmigration.progress SET generation = generation
        WHERE migration = $1 AND generation = $2 AND applied_through_lsn = $3`,
      [migration, generation, formatLsn(from)],
    );
    if (rowCount !== 1) throw new TakenOverError(`another worker has taken over the changes of ${migration}`);
    await target.query(
      `INSERT INTO pgmigration.apply_division (migration, sessions, tables) VALUES ($1, $2, $3)
       ON CONFLICT (migration) DO UPDATE SET sessions = excluded.sessions, tables = excluded.tables`,
      [migration, sessions, JSON.stringify([...tables])],
    );
    await target.query("DELETE FROM pgmigration.apply_session WHERE migration = $1", [migration]);
    await target.query(
      `INSERT INTO pgmigration.apply_session (migration, session, generation, applied_through_lsn)
       SELECT $1, pg_catalog.generate_series(0, $4::int - 1), $2, $3`,
      [migration, generation, formatLsn(from), sessions],
    );
    await target.query("COMMIT");
  } catch (error) {
    // A lost connection has rolled back.
    await target.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * The last statement of every transaction of an apply session. It must affect one row: that of a session of this generation
 * that has not applied this batch yet.
 */
export const advanceSessionStatement =
  (session: number) =>
  ({ migration, generation, appliedThroughLsn }: ProgressStep): Statement => ({
    prepared: true,
    text: `UPDATE pgmigration.apply_session SET applied_through_lsn = $4
            WHERE migration = $1 AND session = $2 AND generation = $3 AND applied_through_lsn < $4`,
    values: [migration, String(session), String(generation), formatLsn(appliedThroughLsn)],
  });
