import { PeriodicTask } from "../async/periodic-task.js";
import { SerialQueue } from "../async/serial-queue.js";
import { createComparisonPoint, type SlotOptions } from "../cdc/source/slot.js";
import { Snapshot } from "../copy/snapshot.js";
import type { Lsn } from "../postgres/lsn.js";

export interface ComparisonSnapshotOptions extends SlotOptions {
  /** Called with the database whose snapshot is taken before this one, every 30 s for as long as this one waits. */
  readonly onQueued?: ((database: string) => void) | undefined;
}

export interface ComparisonSnapshot {
  /** The snapshot shows everything that committed at or before this LSN, and nothing after it. */
  readonly lsn: Lsn;
  /** The caller releases it. */
  readonly snapshot: Snapshot;
}

const reportEveryMs = 30_000;

const turns = new SerialQueue();
/** The snapshots that are being taken, in their order. */
const queue: Pick<SlotOptions, "database">[] = [];

/**
 * An LSN of the source and the snapshot of exactly that LSN. A temporary slot determines them, and exists until the snapshot
 * has its own session. Snapshots are taken one after another, so that one spare slot of the source serves all databases.
 *
 * @throws the errors of createSlot
 * @example const { lsn, snapshot } = await comparisonSnapshot({ source, database: "crm", slot, plugin: "pgoutput" });
 */
export async function comparisonSnapshot(options: ComparisonSnapshotOptions): Promise<ComparisonSnapshot> {
  queue.push(options);
  const report = (): Promise<void> => {
    if (queue[0] !== options) options.onQueued?.(queue[0]!.database);
    return Promise.resolve();
  };
  const reporting = new PeriodicTask({ everyMs: reportEveryMs, run: report, onFailure: () => undefined });
  return turns.run(async () => {
    await reporting.close();
    try {
      return await make(options);
    } finally {
      queue.shift();
    }
  });
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
