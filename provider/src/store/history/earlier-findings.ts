import type { FindingCode } from "../../finding-codes/finding-code.js";
import type { Problem } from "../../findings.js";
import { isLeftByFailure } from "../shared-copies.js";
import type { Store } from "../store.js";

/** SQL: the databases whose rows are copied. Their findings about restored objects are not reported again. */
const copied = `SELECT name FROM pgmigration.database
       WHERE migration = $1 AND (phase IN ('following', 'completing', 'rollingBack', 'returned', 'done') OR ${isLeftByFailure})`;

/**
 * Clauses of `WITH` that move findings of migration `$1` to `earlier_finding`, where the report finds them. Successes are
 * deleted.
 *
 * @param which SQL condition on `pgmigration.finding`
 * @param by what may report them again: another `attempt`, or a `check` that is repeated while a worker runs
 */
export const withdrawFindings = (which: string, by: "attempt" | "check"): string => `
  withdrawn AS (DELETE FROM pgmigration.finding WHERE migration = $1 AND ${which} RETURNING *),
  kept AS (
    INSERT INTO pgmigration.earlier_finding
           (migration, key, database, type, state, code, object, object_type, message, remedy, at, during, withdrawn_by)
    SELECT DISTINCT ON (key) migration, md5(json_build_array(database, code, object)::text) AS key, database, type, state,
           code, object, object_type, message, remedy, at, during, '${by}'
      FROM withdrawn WHERE state <> 'Succeeded' ORDER BY key, id
    ON CONFLICT (migration, key) DO UPDATE
       SET message = excluded.message, remedy = excluded.remedy, state = excluded.state, during = excluded.during,
           withdrawn_by = excluded.withdrawn_by, withdrawn_at = excluded.withdrawn_at)`;

/**
 * SQL condition: the finding may be reported again by another attempt. A migration with a copied database is not validated
 * again, and the objects of that database are not restored again.
 */
export const isReportedAgain = `
  CASE WHEN database IS NULL
       THEN NOT EXISTS (${copied})
       ELSE database NOT IN (${copied}) END`;

/**
 * Replaces the recorded finding of a code that concerns the whole migration and that no worker reports.
 *
 * @param finding the new finding; if it is undefined, the recorded one is only withdrawn
 */
export async function replaceRecordedFinding(
  store: Store,
  migration: string,
  code: FindingCode,
  finding?: Problem,
): Promise<void> {
  await store.query(`WITH ${withdrawFindings("database IS NULL AND code = $2", "check")} SELECT`, [migration, code]);
  if (!finding) return;
  const { type, state, object, objectType, message, remedy } = finding;
  await store.query(
    `INSERT INTO pgmigration.finding (migration, type, state, code, object, object_type, message, remedy, during)
     SELECT name, $2, $3, $4, $5, $6, $7, $8, sub_state FROM pgmigration.migration WHERE name = $1`,
    [migration, type, state, code, object, objectType, message, remedy],
  );
}
