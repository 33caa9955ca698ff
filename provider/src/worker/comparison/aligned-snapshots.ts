import type { Follower } from "../../cdc/follower.js";
import type { OutputPlugin } from "../../cdc/source/slot.js";
import { Snapshot } from "../../copy/snapshot.js";
import { type ComparisonSnapshotOptions, comparisonSnapshot } from "../../cutover/comparison-snapshot.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { formatLsn } from "../../postgres/lsn.js";

interface Database {
  readonly endpoint: Endpoint;
  readonly database: string;
}

export interface AlignmentOptions {
  /** The database from which the follower reads, and the name of the temporary slot. */
  readonly source: Database & { readonly plugin: OutputPlugin; readonly slot: string };
  /** The database to which the follower applies. */
  readonly target: Database;
  readonly follower: Follower;
  readonly signal: AbortSignal;
  readonly onQueued?: ComparisonSnapshotOptions["onQueued"];
}

/** Snapshots of both sides that show the same transactions: those that the source committed before one LSN. */
export interface AlignedSnapshots {
  readonly lsn: string;
  readonly source: Snapshot;
  readonly target: Snapshot;
  /** For how long the follower was held. It applied only changes before the LSN meanwhile. */
  readonly heldSeconds: number;
  readonly release: () => Promise<void>;
}

/** How long to wait for open transactions on the source. */
const openTransactionsSeconds = 300;

/**
 * Exports snapshots of source and target that show the same moment, while both are written.
 *
 * 1. Hold the follower, because it must not apply changes beyond the LSN that is determined next.
 * 2. Create a temporary slot. It determines an LSN and a snapshot of the transactions before it. While a long transaction
 *    delays the slot, the follower may apply changes that certainly precede the LSN.
 * 3. Apply everything before the LSN, and export the target's snapshot.
 * 4. Resume the follower, also after an error.
 *
 * @throws RefusedError if the source has no free slot, TimeoutError if transactions stay open on it
 */
export async function alignSnapshots({
  source,
  target,
  follower,
  signal,
  onQueued,
}: AlignmentOptions): Promise<AlignedSnapshots> {
  const startedAt = performance.now();
  let sourceSnapshot: Snapshot | undefined;
  try {
    await follower.hold();
    const { lsn, snapshot } = await comparisonSnapshot({
      source: source.endpoint,
      database: source.database,
      slot: source.slot,
      plugin: source.plugin,
      timeoutSeconds: openTransactionsSeconds,
      signal,
      onQueued,
      onWaiting: (_sessions, reached) => follower.releaseUpTo(reached),
    });
    sourceSnapshot = snapshot;
    await follower.drainTo(lsn);
    const targetSnapshot = await Snapshot.export(target.endpoint, target.database);
    const [from, to] = [sourceSnapshot, targetSnapshot];
    return {
      lsn: formatLsn(lsn),
      source: from,
      target: to,
      heldSeconds: (performance.now() - startedAt) / 1000,
      release: async () => {
        await Promise.all([from.release(), to.release()]);
      },
    };
  } catch (error) {
    await sourceSnapshot?.release();
    throw error;
  } finally {
    follower.resume();
  }
}
