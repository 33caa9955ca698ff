import type { SkippedEntry } from "../schema/restore/restore-context.js";
import type { WriteFence } from "./lease.js";
import type { Store } from "./store.js";

/** The generation of a copy that failed. No worker leads it, and the next attempt may use its rows. */
export const generationAfterFailure = 0;

/** SQL condition on a row of `pgmigration.database`: the next attempt may use the rows of its copy. */
export const isLeftByFailure = `coalesce(shared_copy ->> 'generation' = '${generationAfterFailure}', false)`;

/** An initial copy in progress, as helpers see it. */
export interface SharedCopy {
  /** Unique for each attempt of a database. */
  readonly id: string;
  /** Generation of the lease's holder, which leads the copy; {@link generationAfterFailure} between two attempts. */
  readonly generation: number;
  /** Version of the leader: another version may read, split or write rows differently. */
  readonly engineVersion: string;
  /** The snapshot under which tables are read, and its `Snapshot.txidSnapshot`. */
  readonly snapshotId: string;
  readonly txidSnapshot: string;
  /** search_path of the source's database. */
  readonly sourceSearchPath: string;
  /** Entries that the target refused before the rows, as in `RestoreContext.skipped`. */
  readonly skipped: readonly (readonly [id: number, skipped: SkippedEntry])[];
  /** Whether large objects are copied and compared. */
  readonly largeObjectsCopied: boolean;
  /** Whether all rows and large objects are on the target. */
  readonly rowsCopied: boolean;
  /** Whether all rows are copied and compared. From then on the snapshot is not needed. */
  readonly tablesCopied: boolean;
}

export interface DatabaseCopy extends SharedCopy {
  readonly database: string;
}

/** The copies of a migration that can be shared now. */
export async function readSharedCopies(store: Store, migration: string): Promise<DatabaseCopy[]> {
  const rows = await store.query<{ database: string; copy: SharedCopy }>(
    `SELECT name AS database, shared_copy AS copy FROM pgmigration.database
      WHERE migration = $1 AND shared_copy IS NOT NULL ORDER BY name`,
    [migration],
  );
  return rows.map(({ database, copy }) => ({ ...copy, database }));
}

/** What the leader of a copy recorded for its successor; the worker defines the format. */
export async function readCopyState(right: WriteFence, database: string): Promise<unknown> {
  const [row] = await right.query<{ state: unknown }>(
    "SELECT copy_state AS state FROM pgmigration.database WHERE migration = $1 AND name = $3 AND $2::bigint IS NOT NULL",
    [database],
  );
  return row?.state;
}

/** Records a session that holds a copy's snapshot besides the session that exported it. */
export async function recordSharedSnapshot(
  store: Store,
  migration: string,
  { database, id }: Pick<DatabaseCopy, "database" | "id">,
  snapshotId: string,
): Promise<void> {
  await store.query(
    `INSERT INTO pgmigration.held_snapshot (migration, database, copy, snapshot)
     SELECT migration, name, $3, $4 FROM pgmigration.database WHERE migration = $1 AND name = $2
     ON CONFLICT DO NOTHING`,
    [migration, database, id, snapshotId],
  );
}

/** Sessions that held a copy's snapshot; they may have ended. */
export async function sharedSnapshots(right: WriteFence, database: string, copy: string): Promise<string[]> {
  const rows = await right.query<{ snapshot: string }>(
    `SELECT snapshot FROM pgmigration.held_snapshot
      WHERE migration = $1 AND database = $3 AND copy = $4 AND $2::bigint IS NOT NULL`,
    [database, copy],
  );
  return rows.map(({ snapshot }) => snapshot);
}

/** Deletes the records of an earlier attempt's snapshots, which a new attempt cannot use. */
export async function deleteSharedSnapshots(right: WriteFence, database: string): Promise<void> {
  await right.query(
    "DELETE FROM pgmigration.held_snapshot WHERE migration = $1 AND database = $3 AND $2::bigint IS NOT NULL",
    [database],
  );
}
