import type { Store } from "../store/store.js";
import { isoTime } from "./read-results.js";
import type { MigrationReport } from "./report-schema.js";

type Findings = MigrationReport["findings"];

const columns = `f.state AS severity, f.code, f.database, f.object, f.message, f.remedy, ${isoTime("f.at")} AS "reportedOn",
  f.during AS "reportedDuring"`;

/** Substates in which the validation, and the checks before it, report. */
const isOfValidation = `f.during NOT IN ('MigratingData', 'WaitingForCutoverTrigger', 'WaitingForCutoverWindow',
  'CompletingMigration', 'WaitingForRollbackDecision')`;

/**
 * Whether an earlier attempt's finding was checked again: the validation has ended since, or its database is copied. If the
 * finding concerns the whole server, all databases must be copied.
 */
const wasCheckedAgain = `CASE WHEN f.withdrawn_by = 'check' THEN true
  WHEN ${isOfValidation} THEN coalesce(m.validation_ended_at > f.withdrawn_at, false)
  ELSE NOT EXISTS (SELECT FROM pgmigration.database d
                    WHERE d.migration = m.name AND (f.database IS NULL OR d.name = f.database)
                      AND d.phase IN ('queued', 'copying', 'canceled')) END`;

/** Findings of the latest attempt, and those of earlier ones that it did not report again. */
export async function readFindings(store: Store, migration: string): Promise<Findings> {
  const rows = await store.query<{ one: Findings[number] }>(
    `SELECT json_strip_nulls(row_to_json(one)) AS one FROM (
       SELECT CASE WHEN f.state = 'Succeeded' THEN 'passed' ELSE 'open' END AS status, ${columns}, NULL AS "withdrawnOn"
         FROM pgmigration.finding f WHERE f.migration = $1
       UNION ALL
       SELECT CASE WHEN ${wasCheckedAgain} THEN 'resolved' ELSE 'unconfirmed' END,
              ${columns}, ${isoTime("f.withdrawn_at")}
         FROM pgmigration.earlier_finding f JOIN pgmigration.migration m ON m.name = f.migration
        WHERE f.migration = $1
          AND NOT EXISTS (SELECT FROM pgmigration.finding now
                           WHERE now.migration = $1 AND now.database IS NOT DISTINCT FROM f.database
                             AND now.code IS NOT DISTINCT FROM f.code AND now.object IS NOT DISTINCT FROM f.object)
     ) one
     ORDER BY array_position(ARRAY['open', 'unconfirmed', 'resolved', 'passed'], status),
              array_position(ARRAY['Failed', 'Warning', 'Succeeded'], severity), "reportedOn", code`,
    [migration],
  );
  return rows.map(({ one }) => one);
}
