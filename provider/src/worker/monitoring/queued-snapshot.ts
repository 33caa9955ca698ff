import type { ComparisonSnapshotOptions } from "../../cutover/comparison-snapshot.js";
import type { Work } from "../context/work.js";

/**
 * Reports that a database waits for the snapshot of another one.
 *
 * @example await comparisonSnapshot({ ...options, onQueued: queueReporter(work, "crm") });
 */
export const queueReporter =
  ({ journal }: Pick<Work, "journal">, database: string): NonNullable<ComparisonSnapshotOptions["onQueued"]> =>
  (other) => {
    const message = `waiting until the snapshot of ${other} is taken, because databases use the source's spare slot in turn`;
    // A lost event must not fail the snapshot.
    void journal.event(message, { database }).catch(() => undefined);
  };
