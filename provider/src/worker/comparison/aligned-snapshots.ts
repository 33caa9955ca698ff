import type { Follower } from "../../cdc/follower.js";
import type { OutputPlugin } from "../../cdc/source/slot.js";
import { Snapshot } from "../../copy/snapshot.js";
import { comparisonSnapshot } from "../../cutover/comparison-snapshot.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { formatLsn } from "../../postgres/lsn.js";

interface Database {
  readonly endpoint: Endpoint;
  readonly database: string;
}

export interface AlignmentOptions {
  /** Where the follower reads, with the temporary slot's name, and where it applies. */
  readonly source: Database & { readonly plugin: OutputPlugin; readonly slot: string };
  readonly target: Database;
  readonly follower: Follower;
  readonly signal: AbortSignal;
}

/** Snapshots of both sides that show the same transactions: those that the source had committed before one point. */
export interface AlignedSnapshots {
  readonly lsn: string;
  readonly source: Snapshot;
  readonly target: Snapshot;
  /** For how long nothing was applied, or only what lay before the point. */
  readonly heldSeconds: number;
  readonly release: () => Promise<void>;
}

/** How long to wait for transactions that are open on the source. */
const openTransactionsSeconds = 300;

/**
 * Has source and target show the same moment, while both are written: a temporary slot names a point of the source's WAL
 * and the snapshot of just the transactions before it; the follower comes to rest there, and the target's snapshot is
 * taken. Then the follower goes on, whatever has happened.
 *
 * The follower is held before the point is made, since it must not have gone beyond. What lies before the point for
 * certain is let pass meanwhile, so that a long transaction on the source does not hold up the stream.
 *
 * @throws RefusedError where the source has no free slot, TimeoutError where transactions stay open on it
 */
export async function alignSnapshots({
  source,
  target,
  follower,
  signal,
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
