import { messageOf, RefusedError } from "../../errors.js";
import { changeCaptureNames, type MigrationIdentity, pointSlot, readerSlot } from "../../cdc/model/names.js";
import { dropPublications } from "../../cdc/source/publication.js";
import { dropSlot } from "../../cdc/source/drop-slot.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";

/**
 * Drops the slot and the publications that a migration has made for a database on the source; idempotent. A slot that is
 * left fills the source's disk, so a failure says how to drop it by hand.
 *
 * @returns what is left for somebody to do on the source
 * @throws RefusedError
 */
export async function dropSourceObjects(
  source: Endpoint,
  migration: MigrationIdentity,
  database: string,
): Promise<readonly string[]> {
  const names = changeCaptureNames(migration, database);
  try {
    const publications = async (): Promise<readonly string[]> => {
      const client = await connect(source, { database, purpose: `${migration.migrationName} clean up` });
      return dropPublications(client, names).finally(() => client.end());
    };
    const [notes, ...slots] = await Promise.allSettled([
      publications(),
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
      `slot and publications of ${migration.migrationName} could not be removed from ${database} on the source: ${messageOf(cause)}`,
      {
        remedy: `on the source, in ${database}: SELECT pg_drop_replication_slot('${names.slot}') (else it keeps WAL for ever); DROP PUBLICATION IF EXISTS ${names.publication}, ${names.insertOnlyPublication}`,
        cause,
      },
    );
  }
}
