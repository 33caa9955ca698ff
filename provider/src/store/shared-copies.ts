import type { SkippedEntry } from "../schema/restore/restore-context.js";
import type { WriteFence } from "./lease.js";
import type { Store } from "./store.js";

/** A base copy under way, as workers beside the lease's holder see it. */
export interface SharedCopy {
  /** Another try of the same database has another one. */
  readonly id: string;
  /** Of the lease's holder that leads it. */
  readonly generation: number;
  /** Of who began it: another version may read, cut or write its rows in another way. */
  readonly engineVersion: string;
  /** Under which its tables are read, and the moment that it shows: `Snapshot.moment`. */
  readonly snapshotId: string;
  readonly moment: string;
  /** search_path of the source's database. */
  readonly sourceSearchPath: string;
  /** Entries that the target did not take before the rows: as `RestoreContext.skipped` has them. */
  readonly skipped: readonly (readonly [id: number, skipped: SkippedEntry])[];
  /** Whether large objects are copied and compared. */
  readonly largeObjectsCopied: boolean;
  /** Whether all rows are copied and compared: nobody needs the snapshot from then on. */
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

/** What the leader of a copy has left for its successor; its shape is the worker's. */
export async function readCopyState(right: WriteFence, database: string): Promise<unknown> {
  const [row] = await right.query<{ state: unknown }>(
    "SELECT copy_state AS state FROM pgmigration.database WHERE migration = $1 AND name = $3 AND $2::bigint IS NOT NULL",
    [database],
  );
  return row?.state;
}

/** Notes where a copy's snapshot is held beside the session that has exported it. */
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

/** Where a copy's snapshot has been held; the sessions may have ended since. */
export async function sharedSnapshots(right: WriteFence, database: string, copy: string): Promise<string[]> {
  const rows = await right.query<{ snapshot: string }>(
    `SELECT snapshot FROM pgmigration.held_snapshot
      WHERE migration = $1 AND database = $3 AND copy = $4 AND $2::bigint IS NOT NULL`,
    [database, copy],
  );
  return rows.map(({ snapshot }) => snapshot);
}

/** For a new try: nobody can go on with what was held for the one before. */
export async function deleteSharedSnapshots(right: WriteFence, database: string): Promise<void> {
  await right.query(
    "DELETE FROM pgmigration.held_snapshot WHERE migration = $1 AND database = $3 AND $2::bigint IS NOT NULL",
    [database],
  );
}
