import { randomBytes } from "node:crypto";
import type { Client } from "pg";
import type { Follower } from "../cdc/follow.js";
import { createComparisonPoint, type OutputPlugin } from "../cdc/slot.js";
import { carrySequences, type SequenceName } from "../copy/sequences.js";
import type { Endpoint } from "../postgres/connect.js";

export interface CutOver {
  readonly source: Endpoint;
  readonly database: string;
  readonly plugin: OutputPlugin;
  readonly follower: Follower;
  /** Sessions in the source and in the target database. */
  readonly sourceSession: Client;
  readonly targetSession: Client;
  readonly signal: AbortSignal;
  /** Whether the target has a sequence of the source. */
  readonly hasSequence: (sequence: SequenceName) => boolean;
  /** Refreshes what is computed from tables. */
  readonly refreshMaterializedViews: () => Promise<void>;
  /** Compares the target, which rests, with the source's snapshot of just that moment. @throws ContentDiffers */
  readonly compare: (snapshotId: string) => Promise<void>;
  readonly onStep: (step: string, seconds: number) => Promise<void>;
}

/** How long to wait for transactions that were open on the source when the cutover began. */
const openTransactionsSeconds = 300;

/**
 * Brings the target to one point of the source's history: every transaction that committed on the source until now is on
 * the target, none later. Afterwards the stream rests there. A step that fails leaves slot and stream as they were, so
 * that the cutover can be tried again.
 */
export async function cutOver(cut: CutOver): Promise<void> {
  const { follower, onStep } = cut;
  const timed = async <T>(step: string, run: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const result = await run();
    await onStep(step, (performance.now() - startedAt) / 1000);
    return result;
  };
  // Held first: a transaction behind the point must not be applied before the point is known.
  await timed("hold the stream", () => follower.hold());
  const point = await timed("mark the cutover point", () =>
    createComparisonPoint({
      source: cut.source,
      database: cut.database,
      slot: `pg_migration_cutover_${randomBytes(6).toString("hex")}`,
      plugin: cut.plugin,
      timeoutSeconds: openTransactionsSeconds,
      signal: cut.signal,
    }),
  );
  try {
    await timed("apply all commits up to it", () => follower.drainTo(point.lsn));
    await timed("carry over sequences", () =>
      carrySequences(cut.sourceSession, cut.targetSession, { only: cut.hasSequence }),
    );
    await timed("refresh materialized views", cut.refreshMaterializedViews);
    await timed("compare", () => cut.compare(point.snapshotId));
  } finally {
    await point.release();
  }
}
