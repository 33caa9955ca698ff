import { listProgress } from "../../../cdc/target/list-progress.js";
import { RefusedError } from "../../../errors.js";
import { qualify, quoteIdentifier } from "../../../postgres/identifiers.js";
import { withSession } from "../../../postgres/connection/with-session.js";
import { listTables } from "../../../postgres/tables.js";
import { replacedDatabases } from "../../../schema/database/used-databases.js";
import type { DatabaseRecord } from "../../../store/records.js";
import { enumerate } from "../../../units/enumerate.js";
import type { Work } from "../../context/work.js";

const maxNamed = 5;

/**
 * Refuses to copy again into a database of the target that applications may use, also if no session shows it:
 *
 * - The migration created it, and handed it over since: at the cutover or the end of an offline migration, by a cancellation, or by
 *   a destroy, which remove the mark in it. The record is older than that.
 * - It was created after `overwriteDbsInTarget` was set, and has tables, but no mark. The record may be so old that it does not know
 *   that the migration created the database.
 *
 * @throws RefusedError
 */
export async function refuseHandedOver(
  { target, spec }: Pick<Work, "target" | "spec">,
  { createdByUs, isCreatedLater, targetName }: DatabaseRecord,
): Promise<void> {
  const { migrationName: migration } = spec;
  if (!createdByUs && !(isCreatedLater && replacedDatabases(spec).includes(targetName))) return;
  const place = { database: targetName, purpose: `${migration} look for progress` };
  const { isMarked, tables } = await withSession(target, place, async (session) => {
    const isMarked = (await listProgress(session)).includes(migration);
    return { isMarked, tables: isMarked || createdByUs ? [] : await listTables(session) };
  });
  if (isMarked || (!createdByUs && tables.length === 0)) return;
  const names = tables.map(({ schema, name }) => qualify(schema, name));
  const database = `database ${targetName} on ${target.host}:${target.port}`;
  const what = createdByUs
    ? `the record of ${migration} is older than the ${database}, which this migration created and handed over since: it was cut over, completed, canceled or destroyed. Applications may use it. The record may come from a backup`
    : `the ${database} was created after overwriteDbsInTarget was set, and has tables: ${enumerate(names, maxNamed)}. Applications may use it. If the record of ${migration} comes from a backup, this migration may have created the database itself`;
  throw new RefusedError(what, {
    remedy: `to keep the database, remove the record: pg-migration delete --name ${migration}. To replace it, run on the target: DROP DATABASE ${quoteIdentifier(targetName)}`,
    code: "PGM-313",
  });
}
