import { listProgress } from "../../../cdc/target/list-progress.js";
import { RefusedError } from "../../../errors.js";
import type { Endpoint } from "../../../postgres/connection/endpoint.js";
import { withSession } from "../../../postgres/connection/with-session.js";
import type { DatabaseRecord } from "../../../store/records.js";

/**
 * For a database that the migration created and is about to copy again. The mark in it is removed when it is handed over: at the
 * cutover or the end of an offline migration, by a cancellation, and by a destroy. Without the mark the record is older than that,
 * and applications may use the database, also if no session shows it. `overwriteDbsInTarget` was not meant for this database.
 *
 * @throws RefusedError if the database was handed over
 */
export async function refuseHandedOver(target: Endpoint, migration: string, record: DatabaseRecord): Promise<void> {
  const { createdByUs, targetName } = record;
  if (!createdByUs) return;
  const place = { database: targetName, purpose: `${migration} look for progress` };
  if ((await withSession(target, place, listProgress)).includes(migration)) return;
  throw new RefusedError(
    `the record of ${migration} is older than the database ${targetName} on ${target.host}:${target.port}, which this migration created and handed over since: it was cut over, completed, canceled or destroyed. Applications may use it. The record may come from a backup`,
    {
      remedy: `remove the record, which keeps the database: pg-migration delete --name ${migration}. To migrate ${targetName} again instead, drop it on the target`,
      code: "PGM-313",
    },
  );
}
