import { log } from "../../log.js";
import { messageOf } from "../../errors.js";
import { readWalPosition } from "../../cdc/source/lag.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { formatLsn } from "../../postgres/lsn.js";
import type { Work } from "../context/work.js";
import type { CopyPoint } from "./take-snapshot.js";

/**
 * Position in the source's WAL of a copy's snapshot, for the report. Online it is exact: the slot's stream starts there. Offline
 * it is read after the snapshot, so that everything in the snapshot was committed before it. Undefined if the source's service
 * does not offer it.
 */
export async function snapshotLsn(
  { source, spec }: Work,
  database: string,
  { slot }: CopyPoint,
): Promise<string | undefined> {
  if (slot) return formatLsn(slot.consistentPoint);
  try {
    const purpose = `${spec.migrationName} position`;
    return await withSession(source, { database, purpose }, readWalPosition);
  } catch (error) {
    log.warn(`${database}: the position of the snapshot cannot be read: ${messageOf(error)}`);
    return undefined;
  }
}
