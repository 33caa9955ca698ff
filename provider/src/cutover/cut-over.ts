import type { Client } from "pg";
import type { Follower } from "../cdc/follower.js";
import { currentLsn } from "../cdc/source/lag.js";
import type { StreamRoles } from "../cdc/model/stream-roles.js";
import type { OutputPlugin, SlotOptions } from "../cdc/source/slot.js";
import { carrySequences, type SequenceName } from "../copy/sequences.js";
import { type ComparisonSnapshot, comparisonSnapshot } from "./comparison-snapshot.js";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isLockTimeout, limitLockWaits, lockRemedy } from "../postgres/locks/lock-waits.js";

export interface CutOver {
  readonly source: Endpoint;
  readonly database: string;
  readonly plugin: OutputPlugin;
  /** What the source is called in messages. */
  readonly publisher?: StreamRoles["publisher"];
  readonly follower: Follower;
  /** What the temporary slot of the cutover point is called. */
  readonly slot: string;
  /** Sessions in the source and in the target database. */
  readonly sourceSession: Client;
  readonly targetSession: Client;
  readonly signal: AbortSignal;
  /** Told whose transactions the point waits for: nobody ends a prepared one, whatever the fence does. */
  readonly onWaiting: NonNullable<SlotOptions["onWaiting"]>;
  /** Whether the target has a sequence of the source. */
  readonly hasSequence: (sequence: SequenceName) => boolean;
  /** Sets sequences ahead by so many steps. */
  readonly sequenceMargin: number;
  /** Keeps everybody from writing on the source; nothing does when undefined. */
  readonly putUpFence?: (() => Promise<void>) | undefined;
  /** Told when changes have been written in spite of the fence; they are on the target. */
  readonly onEscapedChanges: (changes: number) => Promise<void>;
  /** Refreshes what is computed from tables. */
  readonly refreshMaterializedViews: () => Promise<void>;
  /**
   * Looks at the schema once more, behind the point: nobody has since it was carried over, which may be long ago.
   *
   * @throws ConcurrentChangeError when the target has not been given all of it: at another point it passes
   * @throws RefusedError naming what somebody has to run
   */
  readonly requireSchema: () => Promise<void>;
  /** Compares the target with the source as it was at the point; answers the step's name. @throws ContentDiffersError */
  readonly compare: (point: PointToCompare) => Promise<string>;
  readonly onStep: (step: string, seconds: number) => Promise<void>;
}

export interface PointToCompare {
  readonly snapshotId: string;
  /** Resolves when the target has come to the point and rests there; the source may be read before. */
  readonly targetRests: Promise<void>;
  readonly signal: AbortSignal;
}

/** How long to wait for transactions that were open on the source when the cutover began. */
const openTransactionsSeconds = 300;

/**
 * Brings the target to one point of the source's history: every transaction that committed on the source until now is on
 * the target, none later. Afterwards the stream rests there. A step that fails leaves slot and stream as they were, so
 * that the cutover can be tried again; the fence is for the caller to take down then.
 *
 * @throws UnreachableError when a connection breaks, that of the snapshot included: another try may pass
 */
export async function cutOver(cut: CutOver): Promise<void> {
  try {
    await limitLockWaits(cut.sourceSession);
    await limitLockWaits(cut.targetSession);
    await reachPoint(cut);
  } catch (error) {
    cut.follower.resume();
    // Ours say themselves what they were doing.
    if (!isLockTimeout(error) || error instanceof RefusedError || error instanceof UnreachableError) throw error;
    throw new RefusedError(`the cutover of ${cut.database} was not granted a lock: ${messageOf(error)}`, {
      remedy: `on source or target: ${lockRemedy}`,
      cause: error,
    });
  }
}

async function reachPoint(cut: CutOver): Promise<void> {
  const { follower } = cut;
  if (cut.putUpFence) {
    // First, so that writers are kept out only for what they write meanwhile.
    await timed(cut, "catch up", () => catchUp(cut));
    await timed(cut, "put up the fence", cut.putUpFence);
  }
  // Held first: a transaction behind the point must not be applied before the point is known.
  await timed(cut, "hold the stream", () => follower.hold());
  const point = await timed(cut, "mark the cutover point", () =>
    comparisonSnapshot({
      source: cut.source,
      database: cut.database,
      slot: cut.slot,
      plugin: cut.plugin,
      publisher: cut.publisher ?? "source",
      timeoutSeconds: openTransactionsSeconds,
      onWaiting: cut.onWaiting,
      signal: cut.signal,
    }),
  );
  try {
    await timed(cut, "look at the schema once more", cut.requireSchema);
    await bringToPoint(cut, point);
  } finally {
    await point.snapshot.release();
  }
  if (cut.putUpFence) await timed(cut, "look for writes behind the fence", () => bringEscaped(cut));
}

async function timed<T>(
  { onStep }: CutOver,
  step: string | ((result: T) => string),
  run: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const result = await run();
  await onStep(typeof step === "string" ? step : step(result), (performance.now() - startedAt) / 1000);
  return result;
}

/** Applies and compares side by side: the source is read from the start, the target once it rests. */
async function bringToPoint(cut: CutOver, { lsn, snapshot }: ComparisonSnapshot): Promise<void> {
  const over = new AbortController();
  let rest = (): void => undefined;
  const targetRests = new Promise<void>((resolve) => (rest = resolve));
  const signal = AbortSignal.any([cut.signal, snapshot.lost, over.signal]);
  const compared = cut.compare({ snapshotId: snapshot.id, targetRests, signal });
  const comparisonFails = compared.then(() => new Promise<never>(() => undefined));
  comparisonFails.catch(() => undefined);
  try {
    await timed(cut, "apply all commits up to it", () => Promise.race([cut.follower.drainTo(lsn), comparisonFails]));
    rest();
    await timed(cut, "carry over sequences", () => carryOverSequences(cut));
    await timed(cut, "refresh materialized views", cut.refreshMaterializedViews);
    // What is left of it: the source has been read meanwhile.
    await timed<string>(
      cut,
      (step) => step,
      () => compared,
    );
  } catch (error) {
    over.abort(error);
    rest();
    await compared.catch(() => undefined);
    throw error;
  }
}

async function carryOverSequences(cut: CutOver): Promise<void> {
  const { sequenceMargin: margin, hasSequence: only } = cut;
  await carrySequences(cut.sourceSession, cut.targetSession, { margin, only });
}

async function catchUp({ follower, sourceSession }: CutOver): Promise<void> {
  // Held first, as for the point itself.
  await follower.hold();
  await follower.drainTo(await currentLsn(sourceSession));
  follower.resume();
}

/** A session can set itself free of the fence: what it has written since the point must not be lost with the slot. */
async function bringEscaped(cut: CutOver): Promise<void> {
  const { follower, sourceSession } = cut;
  const known = follower.status().appliedChanges;
  await follower.drainTo(await currentLsn(sourceSession));
  await cut.requireSchema();
  const escaped = follower.status().appliedChanges - known;
  if (escaped === 0) return;
  await carryOverSequences(cut);
  await cut.refreshMaterializedViews();
  await cut.onEscapedChanges(escaped);
}
