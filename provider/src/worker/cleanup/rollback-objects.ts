import { type MigrationIdentity, readerSlot, rollbackNames, rollbackProgress } from "../../cdc/model/names.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { dropPublications } from "../../cdc/source/publication.js";
import { UnreachableError, messageOf } from "../../errors.js";
import { connect, isMissingDatabase, refusesLogin } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { DatabaseRecord } from "../../store/records.js";
import { retry } from "../context/retry.js";
import type { Work } from "../context/work.js";

/** Longer than a restart of the source. A source that stays unreachable must not prevent the end of a migration. */
const sourceAwaySeconds = 60;

export interface RollbackPlaces extends MigrationIdentity {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Name of the database on the source. */
  readonly database: string;
  /** Name of the database on the target. */
  readonly targetDatabase: string;
}

/**
 * Removes the objects of a rollback replication on both servers. Idempotent. Starts with the target, because its slot fills
 * the disk of a server in use. An old source may be switched off or refuse logins. That is not an error, but a note.
 *
 * @param sourceAwaySeconds how long to retry an unreachable source, which may be restarting
 * @returns a note about remaining objects, or undefined
 * @throws RefusedError, UnreachableError if the target refuses or does not respond
 */
export async function removeRollback(places: RollbackPlaces, sourceAwaySeconds = 0): Promise<string | undefined> {
  const { migrationName, target, database, targetDatabase } = places;
  const names = rollbackNames(places, database);
  const purpose = `${migrationName} clean up`;
  for (const slot of [names.slot, readerSlot(names.slot)]) await dropSlot(target, targetDatabase, slot);
  const remaining = await withSession(target, { database: targetDatabase, purpose }, (session) =>
    dropPublications(session, names),
  );
  const notes = [...remaining, ...(await forgetOnSource(places, purpose, sourceAwaySeconds))];
  return notes.length > 0 ? notes.join("; ") : undefined;
}

async function forgetOnSource(
  { migrationName, source, database }: RollbackPlaces,
  purpose: string,
  seconds: number,
): Promise<readonly string[]> {
  const isRetryable = (error: unknown): boolean => error instanceof UnreachableError;
  try {
    const session = await retry({ seconds, isRetryable }, () => connect(source, { database, purpose }));
    await dropProgress(session, rollbackProgress(migrationName)).finally(() => session.end());
    return [];
  } catch (error) {
    if (isMissingDatabase(error)) return [];
    if (!(error instanceof UnreachableError) && !refusesLogin(error)) throw error;
    return [
      `the progress of the rollback replication stays in the schema pgmigration of ${database} on the source: ${messageOf(error)}`,
    ];
  }
}

/** Removes the objects of the rollback replication on both servers, and its record. */
export async function clearRollback(
  work: Pick<Work, "spec" | "source" | "target" | "journal">,
  record: DatabaseRecord,
): Promise<void> {
  const note = await removeRollback(placesOf(work, record), sourceAwaySeconds);
  if (note !== undefined) await work.journal.event(note, { database: record.name, level: "warning" });
  await work.journal.rollbackReplication(record.name, null);
}

export const placesOf = (
  { spec, source, target }: Pick<Work, "spec" | "source" | "target">,
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
): RollbackPlaces => ({
  migrationName: spec.migrationName,
  maintenanceDatabase: spec.maintenanceDatabase,
  source,
  target,
  database: name,
  targetDatabase: targetName,
});
