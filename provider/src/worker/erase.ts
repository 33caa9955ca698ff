import { dropProgress } from "../cdc/progress.js";
import { connect, type Endpoint } from "../postgres/connect.js";
import { deleteMigration, forgetSourceObjects, readDatabases, type DatabaseRecord } from "../store/records.js";
import type { Store } from "../store/store.js";
import { dropSourceObjects } from "./source-objects.js";

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
  if (database.phase === "queued" || !(await databaseExists(store, database.targetName))) return;
  const client = await connect(target, { database: database.targetName, purpose: `${migrationName} clean up` });
  try {
    await dropProgress(client, migrationName);
  } finally {
    await client.end();
  }
}

async function databaseExists(store: Store, name: string): Promise<boolean> {
  return (await store.query("SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;
}
