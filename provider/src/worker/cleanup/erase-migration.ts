import { log } from "../../log.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { connect, isMissingDatabase, refusesLogin } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { inspectSlot } from "../../cdc/source/slot-state.js";
import { dropTargetDatabase } from "../../schema/database/database.js";
import { rehearsalDatabase } from "../../schema/database/rehearsal-database.js";
import {
  deleteMigration,
  forgetFence,
  forgetSourceObjects,
  forgetRollback,
  readDatabases,
  readMigration,
  type DatabaseRecord,
} from "../../store/records.js";
import type { Store } from "../../store/store.js";
import { hasEnded } from "../../status.js";
import { endEarlierSessionsOn, type Side } from "./earlier-sessions.js";
import { fenceRemedy, readFenceRecord, type FencedDatabase } from "../../cutover/fence.js";
import { fencedDatabase, fenceSides, removeFence } from "./database-fence.js";
import { dropSourceObjects } from "./source-objects.js";
import { removeRollback } from "./rollback-objects.js";

interface Servers {
  readonly migrationName: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * Removes all that a migration has made but the migrated data: slots and publications, progress, records. The caller
 * has stopped its worker, or taken its rights: what that has left open is ended. Where a server refuses, the rest is
 * kept on record, so that it can be tried again.
 */
export async function eraseMigration(
  store: Store,
  servers: Servers & { readonly maintenanceDatabase: string },
): Promise<void> {
  const databases = await readDatabases(store, servers.migrationName);
  await endLeftSessions(store, servers, databases[0]?.name);
  await eachOf(databases, (database) => eraseDatabase(store, servers, database));
  await eachOf(databases, (database) => eraseRehearsal(store, servers, database.name));
  await deleteMigration(store, servers.migrationName);
  await store.removeIfEmpty();
}

/**
 * Those of a worker that is stopped, or was cut off, hold its locks and snapshots for as long as nobody ends them, and
 * what was killed in the middle of a statement still runs. Processes that have shared its copies keep their snapshots
 * for a successor. A worker that has come to an end has left none.
 */
async function endLeftSessions(
  store: Store,
  { migrationName: migration, source, target, maintenanceDatabase }: Servers & { readonly maintenanceDatabase: string },
  database: string | undefined,
): Promise<void> {
  const record = await readMigration(store, migration);
  if (!record || hasEnded(record.state)) return;
  const owner = { migration, startedAt: record.startedAt, generation: record.generation };
  const sides: Side[] = [{ name: "target", endpoint: target, database: maintenanceDatabase }];
  if (database !== undefined) sides.push({ name: "source", endpoint: source, database });
  for (const side of sides)
    for (const { message } of await endEarlierSessionsOn(side, owner, { helpers: true })) log.warn(message);
}

/** All of them, also where one fails: the slot of each retains WAL. @throws what has failed, in the end */
async function eachOf<Database>(
  databases: readonly Database[],
  erase: (database: Database) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const database of databases)
    await erase(database).catch((failure: unknown) => {
      failures.push(failure);
    });
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1)
    throw new RefusedError(failures.map(messageOf).join("\n"), { cause: new AggregateError(failures) });
}

async function eraseDatabase(store: Store, servers: Servers, database: DatabaseRecord): Promise<void> {
  const { migrationName } = servers;
  if (database.slot !== undefined || database.publications.length > 0) {
    await eraseFromSource(servers, database.name);
    await forgetSourceObjects(store, migrationName, database.name);
  }
  await eraseFences(store, servers, database);
  if (database.hasRollbackReplication) {
    await eraseRollback(servers, database.name, database.targetName);
    await forgetRollback(store, migrationName, database.name);
  }
  if (database.phase === "queued" || !(await databaseExists(store, database.targetName))) return;
  await eraseProgress(servers, database.targetName);
}

/** A worker that was killed during its validation has left it. */
async function eraseRehearsal(
  store: Store,
  { migrationName, target, maintenanceDatabase }: Servers & { readonly maintenanceDatabase: string },
  database: string,
): Promise<void> {
  const name = rehearsalDatabase(migrationName, database);
  if (!(await databaseExists(store, name))) return;
  const session = await connect(target, { database: maintenanceDatabase, purpose: `${migrationName} clean up` });
  await dropTargetDatabase(session, name).finally(() => session.end());
}

async function eraseRollback(servers: Servers, database: string, targetDatabase: string): Promise<void> {
  const note = await removeRollback({ ...servers, database, targetDatabase });
  if (note !== undefined) log.warn(note);
}

async function eraseProgress({ migrationName, target }: Servers, targetDatabase: string): Promise<void> {
  const client = await connect(target, { database: targetDatabase, purpose: `${migrationName} clean up` });
  await dropProgress(client, migrationName).finally(() => client.end());
}

/** Of a migration that is on no record any more. */
interface Unrecorded extends Servers {
  readonly databases: readonly { readonly name: string; readonly targetName: string }[];
  /** Where nothing can be left to remove, a source that is gone is no matter. */
  readonly hasEnded: boolean;
}

/**
 * Removes what is found by its name alone, of an online migration whose records somebody has removed from the target: the
 * slot on the source would retain WAL for ever.
 *
 * @throws RefusedError saying how to do it by hand
 */
export async function eraseUnrecorded({ databases, hasEnded, ...servers }: Unrecorded): Promise<void> {
  await eachOf(databases, async ({ name, targetName }) => {
    // A source that is gone keeps nothing from being removed here.
    await eraseFromTarget(servers, name, targetName);
    try {
      if (await eraseFromSource(servers, name)) await tellOfFence(servers, { side: "source", database: name });
    } catch (error) {
      if (!hasEnded || !isShut(error)) throw error;
      log.warn(messageOf(error));
    }
  });
}

/** @returns whether there is such a database. @throws RefusedError saying how to do it by hand */
async function eraseFromSource(servers: Servers, database: string): Promise<boolean> {
  try {
    for (const note of await dropSourceObjects(servers.source, servers, database)) log.warn(note);
    return true;
  } catch (error) {
    if (!isMissingDatabase((error as Error).cause) || (await keepsSlot(servers, database))) throw error;
    log.warn(`${database} is not on the source any more, so nothing is left to remove there`);
    return false;
  }
}

/** A database that is dropped takes its slots with it; one that has another name now does not. */
async function keepsSlot({ source, ...migration }: Servers, database: string): Promise<boolean> {
  const names = changeCaptureNames(migration, database);
  try {
    const session = await connect(source, { database: "postgres", purpose: `${migration.migrationName} clean up` });
    try {
      for (const slot of [names.slot, pointSlot(names)]) if (await inspectSlot(session, slot)) return true;
      return false;
    } finally {
      await session.end();
    }
  } catch (error) {
    // A server may have no such database, either: then nobody can tell.
    if (isMissingDatabase(error)) return false;
    throw error;
  }
}

/** What it covers was on record only. */
async function tellOfFence(servers: Servers, { side, database }: FencedDatabase): Promise<void> {
  const session = await connect(servers[side], { database, purpose: `${servers.migrationName} clean up` });
  const fence = await readFenceRecord(session, side).finally(() => session.end());
  if (fence.database !== "on") return;
  const unset = { database: null, roles: fence.roles.map(({ role }) => ({ role, setting: null })) };
  log.warn(
    `${database} on the ${side} is read only, maybe by a fence of which the record is gone: ${fenceRemedy(database, unset)}`,
  );
}

async function eraseFromTarget(servers: Servers, database: string, targetDatabase: string): Promise<void> {
  try {
    await eraseRollback(servers, database, targetDatabase);
    await eraseProgress(servers, targetDatabase);
    await tellOfFence(servers, { side: "target", database: targetDatabase });
  } catch (error) {
    // The database may not have been made, or is gone.
    if (!isMissingDatabase(error)) throw error;
  }
}

/** Nobody answers any more, or nobody is let in. */
const isShut = (error: unknown): boolean =>
  [error, (error as Error).cause].some((one) => one instanceof UnreachableError || refusesLogin(one));

/**
 * Takes the fences of a database down and off the record. A source that is gone after the cutover, or lets nobody in, as old
 * servers will, has nothing left to take down.
 *
 * @throws RefusedError saying how to do it by hand
 */
export async function eraseFences(store: Store, servers: Servers, database: DatabaseRecord): Promise<void> {
  const { name, phase, fences } = database;
  const isOver = phase === "done" || phase === "rollingBack" || phase === "returned";
  for (const side of fenceSides) {
    const fence = fences[side];
    if (!fence) continue;
    const mayBeGone = isOver && side === "source";
    try {
      await removeFence(servers[side], fencedDatabase(database, side), fence, mayBeGone ? 0 : undefined);
    } catch (error) {
      if (!mayBeGone || !isShut(error)) throw error;
      log.warn(messageOf(error));
    }
    await forgetFence(store, servers.migrationName, name, side);
  }
}

async function databaseExists(store: Store, name: string): Promise<boolean> {
  return (await store.query("SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;
}
