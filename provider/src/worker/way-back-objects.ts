import { wayBackNames, wayBackProgress } from "../cdc/names.js";
import { dropSlot } from "../cdc/drop-slot.js";
import { dropProgress } from "../cdc/progress.js";
import { dropPublications } from "../cdc/publication.js";
import { Unreachable, messageOf } from "../errors.js";
import { connect, type Endpoint } from "../postgres/connect.js";

export interface WayBackPlaces {
  readonly migrationName: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** On the source, and on the target. */
  readonly database: string;
  readonly targetDatabase: string;
}

/**
 * Removes what a way back has on both sides; idempotent. The target's first: its slot fills the disk of a server that is in
 * use. A source that is gone by then, as old servers will, has nothing left to remove, and that is answered as a note.
 *
 * @throws Refused, Unreachable when the target does not let it
 */
export async function removeWayBack(places: WayBackPlaces): Promise<string | undefined> {
  const { migrationName, source, target, database, targetDatabase } = places;
  const names = wayBackNames(places, database);
  const purpose = `${migrationName} clean up`;
  await dropSlot(target, targetDatabase, names.slot);
  const onTarget = await connect(target, { database: targetDatabase, purpose });
  try {
    await dropPublications(onTarget, names);
  } finally {
    await onTarget.end();
  }
  try {
    const onSource = await connect(source, { database, purpose });
    await dropProgress(onSource, wayBackProgress(migrationName)).finally(() => onSource.end());
    return undefined;
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return `what is applied of the way back is still on record in the schema pgmigration of ${database} on the source: ${messageOf(error)}`;
  }
}
