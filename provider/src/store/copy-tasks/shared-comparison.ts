import { engineVersion } from "../../engine-version.js";
import type { ComparisonMoment } from "../journal.js";
import { holdsLease, type WriteFence } from "../lease.js";
import type { Store } from "../store.js";

/** A comparison in progress, as helpers see it. */
export interface SharedComparison {
  /** Unique for each comparison: another one has other snapshots. */
  readonly id: string;
  /** Version of the leader: another version may read rows differently. */
  readonly engineVersion: string;
  readonly occasion: ComparisonMoment["occasion"];
  readonly mode: "counts" | "content";
  /** The source's snapshot, and its `Snapshot.txidSnapshot`: another server may have a snapshot of the same name. */
  readonly snapshotId: string;
  readonly txidSnapshot: string;
  /** Undefined if the target rests during the comparison. */
  readonly targetSnapshotId?: string | undefined;
  /** Time limit for content, from the moment when the target rests. */
  readonly budgetSeconds?: number | undefined;
}

export interface DatabaseComparison extends SharedComparison {
  readonly database: string;
  /** Generation of the leader. */
  readonly generation: number;
}

/** The comparisons of a migration that were begun and have not ended. Their leader may be lost. */
export async function readSharedComparisons(store: Store, migration: string): Promise<DatabaseComparison[]> {
  const rows = await store.query<{ database: string; generation: string; description: SharedComparison }>(
    "SELECT database, generation, description FROM pgmigration.shared_comparison WHERE migration = $1 ORDER BY database",
    [migration],
  );
  return rows.map(({ database, generation, description }) => ({
    ...description,
    database,
    generation: Number(generation),
  }));
}

/**
 * Deletes comparisons with their results, which contain key values of different rows. Helpers stop.
 *
 * @param database all databases by default
 */
export async function deleteComparisons(right: WriteFence, database: string | null = null): Promise<void> {
  const chosen = `migration = $1 AND database = coalesce($3, database) AND ${holdsLease}`;
  await right.query(
    `WITH tasks AS (DELETE FROM pgmigration.comparison_task WHERE ${chosen})
     DELETE FROM pgmigration.shared_comparison WHERE ${chosen}`,
    [database],
  );
}

/** A helper records itself more often than this. */
const seenForSeconds = 90;
/** Rows of lost helpers are deleted after this time. */
const keptForSeconds = 3600;

/** Records that a worker of this version stands by to share comparisons. */
export async function recordHelper(store: Store, migration: string, worker: string): Promise<void> {
  await store.query(
    `WITH lost AS (
       DELETE FROM pgmigration.helper
        WHERE migration = $1 AND worker <> $2 AND seen_at < clock_timestamp() - make_interval(secs => ${keptForSeconds})
     )
     INSERT INTO pgmigration.helper (migration, worker, engine_version)
     SELECT name, $2, $3 FROM pgmigration.migration WHERE name = $1
     ON CONFLICT (migration, worker) DO UPDATE SET seen_at = clock_timestamp()`,
    [migration, worker, engineVersion],
  );
}

export async function deleteHelper(store: Store, migration: string, worker: string): Promise<void> {
  await store.query("DELETE FROM pgmigration.helper WHERE migration = $1 AND worker = $2", [migration, worker]);
}

/** Number of workers of this version that stood by a moment ago. */
export async function countHelpers(right: WriteFence): Promise<number> {
  const [row] = await right.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pgmigration.helper
      WHERE migration = $1 AND engine_version = $3 AND ${holdsLease}
        AND seen_at > clock_timestamp() - make_interval(secs => ${seenForSeconds})`,
    [engineVersion],
  );
  return row!.count;
}
