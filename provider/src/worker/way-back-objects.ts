import { readerSlot, wayBackNames, wayBackProgress } from "../cdc/model/names.js";
import { dropSlot } from "../cdc/source/drop-slot.js";
import { dropProgress } from "../cdc/target/progress.js";
import { dropPublications } from "../cdc/source/publication.js";
import { Unreachable, messageOf } from "../errors.js";
import { connect, isMissingDatabase, refusesLogin, type Endpoint } from "../postgres/connection/connect.js";
import { rideOut } from "./ride-out.js";

export interface WayBackPlaces {
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
 * @throws Refused, Unreachable when the target does not let it
 */
export async function removeWayBack(places: WayBackPlaces, sourceAwaySeconds = 0): Promise<string | undefined> {
  const { migrationName, target, database, targetDatabase } = places;
  const names = wayBackNames(places, database);
  const purpose = `${migrationName} clean up`;
  for (const slot of [names.slot, readerSlot(names.slot)]) await dropSlot(target, targetDatabase, slot);
  const onTarget = await connect(target, { database: targetDatabase, purpose });
  const left = await dropPublications(onTarget, names).finally(() => onTarget.end());
  const notes = [...left, ...(await forgetOnSource(places, purpose, sourceAwaySeconds))];
  return notes.length > 0 ? notes.join("; ") : undefined;
}

async function forgetOnSource(
  { migrationName, source, database }: WayBackPlaces,
  purpose: string,
  seconds: number,
): Promise<readonly string[]> {
  const mayPass = (error: unknown): boolean => error instanceof Unreachable;
  try {
    const onSource = await rideOut({ seconds, mayPass }, () => connect(source, { database, purpose }));
    await dropProgress(onSource, wayBackProgress(migrationName)).finally(() => onSource.end());
    return [];
  } catch (error) {
    if (isMissingDatabase(error)) return [];
    if (!(error instanceof Unreachable) && !refusesLogin(error)) throw error;
    return [
      `what is applied of the way back is still on record in the schema pgmigration of ${database} on the source: ${messageOf(error)}`,
    ];
  }
}
