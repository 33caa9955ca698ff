import { hostname } from "node:os";
import { engineVersion } from "../engine-version.js";
import { applicationNamePrefix } from "../postgres/connection/connect.js";
import { readSharedCopies } from "./shared-copies.js";
import type { Store } from "./store.js";

/** The key in the recorded worker. Its value is the generation of the worker that is about to end. */
export const leavingKey = "leaving";

/**
 * Purpose of the session through which each pool process reads the records of a target. A pool of another version does not hold the
 * snapshots.
 */
export const poolPurpose = `pool ${engineVersion}`;

/**
 * Records that the migration's worker, this process, is about to end, so that pool processes hold the snapshots of its copies.
 *
 * @returns false if another worker leads the migration
 */
export async function announceEnd(store: Store, migration: string): Promise<boolean> {
  const rows = await store.query(
    `UPDATE pgmigration.migration SET worker = worker || jsonb_build_object($3::text, generation)
      WHERE name = $1 AND worker @> $2::jsonb RETURNING name`,
    [migration, { host: hostname(), pid: process.pid }, leavingKey],
  );
  return rows.length === 1;
}

/** Whether pool processes of this version, besides that of this worker, read the records. */
export async function hasOtherPools(store: Store): Promise<boolean> {
  const [row] = await store.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = $1`,
    [`${applicationNamePrefix}${poolPurpose}`],
  );
  return row!.count > 1;
}

/** The snapshots that sessions besides the leader's hold; the sessions may have ended. */
export async function heldSnapshots(store: Store, migration: string): Promise<ReadonlySet<string>> {
  const rows = await store.query<{ copy: string; snapshot: string }>(
    "SELECT copy, snapshot FROM pgmigration.held_snapshot WHERE migration = $1",
    [migration],
  );
  return new Set(rows.map(({ copy, snapshot }) => `${copy} ${snapshot}`));
}

/** The databases with a copy that needs its snapshot, and whose snapshot no other session has begun to hold since `before`. */
export async function copiesWithoutHolder(
  store: Store,
  migration: string,
  before: ReadonlySet<string>,
): Promise<string[]> {
  const held = [...(await heldSnapshots(store, migration))].filter((one) => !before.has(one));
  const copies = (await readSharedCopies(store, migration)).filter(({ tablesCopied }) => !tablesCopied);
  return copies.filter(({ id }) => !held.some((one) => one.startsWith(`${id} `))).map(({ database }) => database);
}
