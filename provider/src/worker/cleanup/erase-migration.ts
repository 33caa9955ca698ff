import { log } from "../../log.js";
import {
  changeCaptureNames,
  type ChangeCaptureNames,
  type MigrationIdentity,
  pointSlot,
  recordedCaptureNames,
} from "../../cdc/model/names.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import { isMissingDatabase, refusesLogin } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
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
  readMigrationState,
  type DatabaseRecord,
  isComplete,
} from "../../store/records.js";
import type { Store } from "../../store/store.js";
import { hasEnded } from "../../status.js";
import { endEarlierSessionsOn, type Side } from "./earlier-sessions.js";
import { fenceRemedy, readFenceRecord, type FencedDatabase } from "../../cutover/fence.js";
import { fencedDatabase, fenceSides, removeFence } from "./database-fence.js";
import { dropSourceObjects } from "./source-objects.js";
import { removeRollback } from "./rollback-objects.js";

interface Servers extends MigrationIdentity {
  readonly source: Endpoint;
  readonly target: Endpoint;
}

/**
 * Removes everything that a migration created except the migrated data: slots, publications, progress, records. The caller
 * has stopped or fenced off the worker. Open sessions of the worker are terminated. If a server refuses a removal, the
 * records keep the remaining objects, so that the erasure can be repeated.
 */
export async function eraseMigration(store: Store, servers: Servers): Promise<void> {
  const databases = await readDatabases(store, servers.migrationName);
  await endOpenSessions(store, servers, databases[0]?.name);
  await forEach(databases, (database) => eraseDatabase(store, servers, database));
  await forEach(databases, (database) => eraseRehearsal(store, servers, database.name));
  // Last: after an interrupted erasure, the next attempt may still replace the databases.
  await forEach(databases, (database) => leaveToUser(store, servers, database));
  await deleteMigration(store, servers.migrationName);
  await store.removeIfEmpty();
}

/**
 * Terminates the sessions of a suspended, disconnected or killed worker and of its copy helpers, which hold locks and
 * snapshots. A worker that ended by itself left none.
 */
async function endOpenSessions(
  store: Store,
  { migrationName: migration, source, target, maintenanceDatabase }: Servers,
  database: string | undefined,
): Promise<void> {
  const record = await readMigrationState(store, migration);
  if (!record || hasEnded(record.state)) return;
  const owner = { migration, startedAt: record.startedAt, generation: record.generation };
  const sides: Side[] = [{ name: "target", endpoint: target, database: maintenanceDatabase }];
  if (database !== undefined) sides.push({ name: "source", endpoint: source, database });
  for (const side of sides)
    for (const { message } of await endEarlierSessionsOn(side, owner, { helpers: true })) log.warn(message);
}

/** Erases every database, also if one fails, because the slot of each retains WAL. @throws the failures, at the end */
async function forEach<Database>(
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
    // A damaged record does not show under which name of the target the migration was created, which determines the names.
    const names = recordedCaptureNames([database.slot, ...database.publications]);
    await eraseFromSource(servers, database.name, names);
    await forgetSourceObjects(store, migrationName, database.name);
  }
  await eraseFences(store, servers, database);
  if (database.hasRollbackReplication) {
    await eraseRollback(servers, database.name, database.targetName);
    await forgetRollback(store, migrationName, database.name);
  }
}

/** Removes what the migration created in a database of the target, which is the user's from then on. */
export async function leaveToUser(
  store: Store,
  servers: Pick<Servers, "migrationName" | "target">,
  { phase, createdByUs, targetName }: DatabaseRecord,
): Promise<void> {
  const isUntouched = phase === "queued" && !createdByUs;
  if (isUntouched || !(await databaseExists(store, targetName))) return;
  await eraseProgress(servers, targetName);
}

/** Drops the rehearsal database that a worker left if it was killed during its validation. */
async function eraseRehearsal(
  store: Store,
  { migrationName, target, maintenanceDatabase }: Servers,
  database: string,
): Promise<void> {
  const name = rehearsalDatabase(migrationName, database);
  if (!(await databaseExists(store, name))) return;
  await withSession(target, { database: maintenanceDatabase, purpose: `${migrationName} clean up` }, (session) =>
    dropTargetDatabase(session, name),
  );
}

async function eraseRollback(servers: Servers, database: string, targetDatabase: string): Promise<void> {
  const note = await removeRollback({ ...servers, database, targetDatabase });
  if (note !== undefined) log.warn(note);
}

export function eraseProgress(
  { migrationName, target }: Pick<Servers, "migrationName" | "target">,
  targetDatabase: string,
): Promise<void> {
  return withSession(target, { database: targetDatabase, purpose: `${migrationName} clean up` }, (session) =>
    dropProgress(session, migrationName),
  );
}

/** A migration whose records are missing. */
interface Unrecorded extends Servers {
  readonly databases: readonly { readonly name: string; readonly targetName: string }[];
  /** Nothing can be left on the source then, so an unreachable source is not an error. */
  readonly hasEnded: boolean;
}

/**
 * Removes the objects of an online migration whose records were deleted from the target. Finds them by their names. The slot
 * on the source would otherwise retain WAL forever.
 *
 * @throws RefusedError with the statements to run manually
 */
export async function eraseUnrecorded({ databases, hasEnded, ...servers }: Unrecorded): Promise<void> {
  await forEach(databases, async ({ name, targetName }) => {
    // First the target, so that an unreachable source does not prevent this.
    await eraseFromTarget(servers, name, targetName);
    try {
      if (await eraseFromSource(servers, name)) await warnOfFence(servers, { side: "source", database: name });
    } catch (error) {
      if (!hasEnded || !isInaccessible(error)) throw error;
      log.warn(messageOf(error));
    }
  });
}

/** @returns whether the database exists. @throws RefusedError with the statements to run manually */
async function eraseFromSource(
  servers: Servers,
  database: string,
  names = changeCaptureNames(servers, database),
): Promise<boolean> {
  try {
    for (const note of await dropSourceObjects(servers.source, servers, database, names)) log.warn(note);
    return true;
  } catch (error) {
    if (!isMissingDatabase((error as Error).cause) || (await hasSlot(servers, names))) throw error;
    log.warn(`the database ${database} no longer exists on the source: nothing to remove there`);
    return false;
  }
}

/** Whether slots remain. Dropping a database drops its slots, renaming it does not. */
async function hasSlot({ source, migrationName }: Servers, names: ChangeCaptureNames): Promise<boolean> {
  const options = { database: "postgres", purpose: `${migrationName} clean up` };
  try {
    return await withSession(source, options, async (session) => {
      for (const slot of [names.slot, pointSlot(names)]) if (await inspectSlot(session, slot)) return true;
      return false;
    });
  } catch (error) {
    // The server may have no database postgres. Then slots cannot be listed.
    if (isMissingDatabase(error)) return false;
    throw error;
  }
}

/** Reports a database that is read-only. The earlier settings were in the deleted records, so they cannot be restored. */
async function warnOfFence(servers: Servers, { side, database }: FencedDatabase): Promise<void> {
  const options = { database, purpose: `${servers.migrationName} clean up` };
  const fence = await withSession(servers[side], options, (session) => readFenceRecord(session, side));
  if (fence.database !== "on") return;
  const unset = { database: null, roles: fence.roles.map(({ role }) => ({ role, setting: null })) };
  log.warn(
    `${database} on the ${side} is read-only, maybe by a fence whose record was deleted: ${fenceRemedy(database, unset)}`,
  );
}

async function eraseFromTarget(servers: Servers, database: string, targetDatabase: string): Promise<void> {
  try {
    await eraseRollback(servers, database, targetDatabase);
    await eraseProgress(servers, targetDatabase);
    await warnOfFence(servers, { side: "target", database: targetDatabase });
  } catch (error) {
    // The database may never have been created, or was dropped.
    if (!isMissingDatabase(error)) throw error;
  }
}

/** Whether the server is unreachable or refuses the login. */
const isInaccessible = (error: unknown): boolean =>
  [error, (error as Error).cause].some((one) => one instanceof UnreachableError || refusesLogin(one));

/**
 * Removes the fences of a database from the servers and from the records. After the cutover, an old source may be switched
 * off or refuse logins. Its fence is then only removed from the records.
 *
 * @throws RefusedError with the statements to run manually
 */
export async function eraseFences(store: Store, servers: Servers, database: DatabaseRecord): Promise<void> {
  const { name, phase, fences } = database;
  for (const side of fenceSides) {
    const fence = fences[side];
    if (!fence) continue;
    const mayBeOffline = isComplete(phase) && side === "source";
    try {
      await removeFence(servers[side], fencedDatabase(database, side), fence, mayBeOffline ? 0 : undefined);
    } catch (error) {
      if (!mayBeOffline || !isInaccessible(error)) throw error;
      log.warn(messageOf(error));
    }
    await forgetFence(store, servers.migrationName, name, side);
  }
}

async function databaseExists(store: Store, name: string): Promise<boolean> {
  return (await store.query("SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;
}
