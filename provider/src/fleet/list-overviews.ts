import { migrationResource, type MigrationResource } from "../display/migration-resource.js";
import type { MigrationSubState } from "../status.js";
import { listMigrations } from "../store/list-migrations.js";
import type { Store } from "../store/store.js";
import type { ReportedCode } from "../display/finding-groups.js";
import { reportedCodes, type RecordedFinding } from "../display/reported-codes.js";

/** The progress of a migration that has not ended. */
export interface Overview {
  readonly subState: MigrationSubState;
  /** Progress of the initial copy. */
  readonly percent: number;
  /** The last values measured; null while no database is followed. Current only while a worker runs. */
  readonly lagBytes: number | null;
  readonly lagSeconds: number | null;
  /** Tables found to differ. */
  readonly different: number;
}

export interface MigrationListItem extends MigrationResource {
  /** Whether a worker ever held the lease. */
  readonly hadWorker: boolean;
  readonly overview: Overview | undefined;
  /** What it reports, once for each code. */
  readonly findings: readonly ReportedCode[];
}

/** Every migration, newest first, with its findings and the progress of those that have not ended. */
export async function listWithOverviews(store: Store): Promise<MigrationListItem[]> {
  const overviews = new Map((await readOverviews(store)).map(({ name, ...overview }) => [name, overview]));
  const findings = new Map<string, RecordedFinding[]>();
  for (const one of await listProblems(store))
    findings.set(one.migration, [...(findings.get(one.migration) ?? []), one]);
  return (await listMigrations(store)).map((migration) => {
    const overview = overviews.get(migration.name);
    // State and substate come from one statement, so that they belong together.
    return {
      ...migrationResource(migration),
      hadWorker: migration.hadWorker,
      overview: overview && { ...overview, subState: migration.subState },
      findings: reportedCodes(findings.get(migration.name) ?? []),
    };
  });
}

/** A damaged report of one database must not hide all migrations. */
const numberIn = (key: string): string =>
  `CASE jsonb_typeof(follow -> '${key}') WHEN 'number' THEN (follow ->> '${key}')::numeric END`;

/** One statement for all migrations: a page that shows the list must not cost more with each of them. */
function readOverviews(store: Store): Promise<(Omit<Overview, "subState"> & { readonly name: string })[]> {
  return store.query(
    `SELECT m.name,
            CASE WHEN copied.is_complete THEN 100
                 WHEN copied.total > 0 THEN least(99, floor(100 * copied.done / copied.total))
                 ELSE 0 END::float8 AS percent,
            lag.bytes::float8 AS "lagBytes", lag.seconds AS "lagSeconds", coalesce(compared.different, 0)::float8 AS different
       FROM pgmigration.migration m
       CROSS JOIN LATERAL (SELECT sum(bytes_copied) AS done, sum(bytes_total) AS total,
                                  bool_and(state = 'completed') AS is_complete
                             FROM pgmigration.copy_task WHERE migration = m.name AND kind = 'table') copied
       CROSS JOIN LATERAL (SELECT sum(${numberIn("lagBytes")}) AS bytes, max(${numberIn("latencySeconds")}::float8) AS seconds
                             FROM pgmigration.database
                            WHERE migration = m.name AND phase = 'following' AND state <> 'Failed') lag
       CROSS JOIN LATERAL (SELECT count(*) AS different
                             FROM pgmigration.comparison WHERE migration = m.name AND NOT equal) compared
      WHERE m.ended_at IS NULL`,
  );
}

/** A migration may have a finding of the same code for each of thousands of tables. */
function listProblems(store: Store): Promise<(RecordedFinding & { readonly migration: string })[]> {
  return store.query(
    `SELECT migration, state, code, left(min(message), 500) AS message, left(min(remedy), 500) AS remedy
       FROM pgmigration.finding
      WHERE state <> 'Succeeded'
      GROUP BY migration, state, code, CASE WHEN code IS NULL THEN message END`,
  );
}
