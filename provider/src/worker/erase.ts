import { dropProgress } from "../cdc/progress.js";
import { Unreachable, messageOf } from "../errors.js";
import { connect, type Endpoint } from "../postgres/connect.js";
import {
  deleteMigration,
  forgetFence,
  forgetSourceObjects,
  forgetWayBack,
  readDatabases,
  type DatabaseRecord,
} from "../store/records.js";
import type { Store } from "../store/store.js";
import { removeFence } from "./source-fence.js";
import { dropSourceObjects } from "./source-objects.js";
import { removeWayBack } from "./way-back-objects.js";

interface Servers {
  readonly migrationName: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * Removes all that a migration has made but the migrated data: slots and publications, progress, records. The caller has
 * stopped its worker. Where a server refuses, the rest is kept on record, so that it can be tried again.
 */
export async function eraseMigration(store: Store, servers: Servers): Promise<void> {
  for (const database of await readDatabases(store, servers.migrationName))
    await eraseDatabase(store, servers, database);
  await deleteMigration(store, servers.migrationName);
  await store.removeIfEmpty();
}

async function eraseDatabase(
  store: Store,
  { migrationName, source, target }: Servers,
  database: DatabaseRecord,
): Promise<void> {
  if (database.slot !== undefined || database.publications.length > 0) {
    await dropSourceObjects(source, { migrationName, target }, database.name);
    await forgetSourceObjects(store, migrationName, database.name);
  }
  await eraseFence(store, { migrationName, source }, database);
  if (database.hasWayBack) {
    const places = { migrationName, source, target, database: database.name, targetDatabase: database.targetName };
    const note = await removeWayBack(places);
    if (note !== undefined) process.stderr.write(`${note}\n`);
    await forgetWayBack(store, migrationName, database.name);
  }
  if (database.phase === "queued" || !(await databaseExists(store, database.targetName))) return;
  const client = await connect(target, { database: database.targetName, purpose: `${migrationName} clean up` });
  try {
    await dropProgress(client, migrationName);
  } finally {
    await client.end();
  }
}

/**
 * Takes the fence of a database down and off the record. A source that is gone after the cutover, as old servers will, has
 * nothing left to take down.
 *
 * @throws Refused saying how to do it by hand
 */
export async function eraseFence(
  store: Store,
  { migrationName, source }: Pick<Servers, "migrationName" | "source">,
  { name, phase, fence }: DatabaseRecord,
): Promise<void> {
  if (!fence) return;
  const isOver = phase === "done" || phase === "reversing" || phase === "returned";
  try {
    await removeFence(source, name, fence, isOver ? 0 : undefined);
  } catch (error) {
    if (!isOver || !((error as Error).cause instanceof Unreachable)) throw error;
    process.stderr.write(`${messageOf(error)}\n`);
  }
  await forgetFence(store, migrationName, name);
}

async function databaseExists(store: Store, name: string): Promise<boolean> {
  return (await store.query("SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;
}
