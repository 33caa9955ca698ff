import { readerSlot, rollbackNames, rollbackProgress } from "../../cdc/model/names.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { dropPublications } from "../../cdc/source/publication.js";
import { UnreachableError, messageOf } from "../../errors.js";
import { connect, isMissingDatabase, refusesLogin } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { DatabaseRecord } from "../../store/records.js";
import { retry } from "../context/retry.js";
import type { Work } from "../context/work.js";

/** A source that stays unreachable for longer than a restart takes must not keep a migration from ending. */
const sourceAwaySeconds = 60;

export interface RollbackPlaces {
  readonly migrationName: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** On the source, and on the target. */
  readonly database: string;
  readonly targetDatabase: string;
}

/**
 * Removes what a way back has on both sides; idempotent. The target's first: its slot fills the disk of a server that
 * is in use. A source that is gone by then, or lets nobody in, as old servers will, has nothing left to remove, and
 * that is answered as a note.
 *
 * @param sourceAwaySeconds how long a source that does not answer may just be restarting
 * @throws RefusedError, UnreachableError when the target does not let it
 */
export async function removeRollback(places: RollbackPlaces, sourceAwaySeconds = 0): Promise<string | undefined> {
  const { migrationName, target, database, targetDatabase } = places;
  const names = rollbackNames(places, database);
  const purpose = `${migrationName} clean up`;
  for (const slot of [names.slot, readerSlot(names.slot)]) await dropSlot(target, targetDatabase, slot);
  const onTarget = await connect(target, { database: targetDatabase, purpose });
  const left = await dropPublications(onTarget, names).finally(() => onTarget.end());
  const notes = [...left, ...(await forgetOnSource(places, purpose, sourceAwaySeconds))];
  return notes.length > 0 ? notes.join("; ") : undefined;
}

async function forgetOnSource(
  { migrationName, source, database }: RollbackPlaces,
  purpose: string,
  seconds: number,
): Promise<readonly string[]> {
  const isRetryable = (error: unknown): boolean => error instanceof UnreachableError;
  try {
    const onSource = await retry({ seconds, isRetryable }, () => connect(source, { database, purpose }));
    await dropProgress(onSource, rollbackProgress(migrationName)).finally(() => onSource.end());
    return [];
  } catch (error) {
    if (isMissingDatabase(error)) return [];
    if (!(error instanceof UnreachableError) && !refusesLogin(error)) throw error;
    return [
      `what is applied of the way back is still on record in the schema pgmigration of ${database} on the source: ${messageOf(error)}`,
    ];
  }
}

/** Removes what a way back has on both sides, and that there is one from the records. */
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
  ...{ migrationName: spec.migrationName, source, target, database: name, targetDatabase: targetName },
});
