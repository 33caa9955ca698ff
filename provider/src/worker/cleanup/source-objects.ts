import { messageOf, RefusedError } from "../../errors.js";
import { changeCaptureNames, type MigrationIdentity, pointSlot, readerSlot } from "../../cdc/model/names.js";
import { dropPublications } from "../../cdc/source/publication.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";

/**
 * Drops the slots and publications that a migration created for a database on the source. Idempotent. A remaining slot fills
 * the source's disk, so the error contains the statement that drops it.
 *
 * @param names their names, if they are recorded
 * @returns notes about steps that remain to be done on the source
 * @throws RefusedError
 */
export async function dropSourceObjects(
  source: Endpoint,
  migration: MigrationIdentity,
  database: string,
  names = changeCaptureNames(migration, database),
): Promise<readonly string[]> {
  try {
    const [notes, ...slots] = await Promise.allSettled([
      withSession(source, { database, purpose: `${migration.migrationName} clean up` }, (session) =>
        dropPublications(session, names),
      ),
      dropSlot(source, database, names.slot),
      dropSlot(source, database, pointSlot(names)),
      dropSlot(source, database, readerSlot(names.slot)),
    ]);
    const failed = slots.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    if (notes.status === "rejected") throw notes.reason;
    return notes.value;
  } catch (cause) {
    throw new RefusedError(
      `cannot drop slots and publications of ${migration.migrationName} in ${database} on the source: ${messageOf(cause)}`,
      {
        remedy: `on the source, in ${database}: SELECT pg_drop_replication_slot('${names.slot}') (otherwise it retains WAL forever); DROP PUBLICATION IF EXISTS ${names.publication}, ${names.insertOnlyPublication}`,
        cause,
      },
    );
  }
}
