import { createComparisonPoint, type SlotOptions } from "../cdc/source/slot.js";
import { Snapshot } from "../copy/snapshot.js";
import type { Lsn } from "../postgres/lsn.js";

export interface ComparisonSnapshot {
  /** The snapshot shows all that committed at or before, and nothing after. */
  readonly lsn: Lsn;
  /** The caller releases it. */
  readonly snapshot: Snapshot;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * A place in the source's history and the snapshot of just that place. The temporary slot that names it is there until
 * the snapshot has a session of its own, and only one at a time: so one spare slot of the source serves all databases.
 *
 * @throws as createSlot
 */
export function comparisonSnapshot(options: SlotOptions): Promise<ComparisonSnapshot> {
  const mine = last.then(() => make(options));
  last = mine.catch(() => undefined);
  return mine;
}

async function make(options: SlotOptions): Promise<ComparisonSnapshot> {
  options.signal?.throwIfAborted();
  const point = await createComparisonPoint(options);
  try {
    return { lsn: point.lsn, snapshot: await Snapshot.hold(options.source, options.database, point.snapshotId) };
  } finally {
    await point.release();
  }
}
