import type { Client } from "pg";
import type { Follower } from "../cdc/follower.js";
import { currentLsn } from "../cdc/source/lag.js";
import type { StreamRoles } from "../cdc/model/stream-roles.js";
import type { OutputPlugin, SlotOptions } from "../cdc/source/slot.js";
import { carrySequences, type SequenceName, type SequenceState } from "../copy/sequences.js";
import { type ComparisonSnapshot, type ComparisonSnapshotOptions, comparisonSnapshot } from "./comparison-snapshot.js";
import { RefusedError, UnreachableError, messageOf } from "../errors.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { formatLsn } from "../postgres/lsn.js";
import { isLockTimeout, limitLockWaits, lockRemedy } from "../postgres/locks/lock-waits.js";

export interface CutOver {
  readonly source: Endpoint;
  readonly database: string;
  readonly plugin: OutputPlugin;
  /** The name of the source in messages. */
  readonly publisher?: StreamRoles["publisher"];
  readonly follower: Follower;
  /** Name of the temporary slot that determines the cutover LSN. */
  readonly slot: string;
  /** Sessions in the source and in the target database. */
  readonly sourceSession: Client;
  readonly targetSession: Client;
  readonly signal: AbortSignal;
  /** Called with the transactions that delay the cutover LSN. The fence does not end prepared transactions. */
  readonly onWaiting: NonNullable<SlotOptions["onWaiting"]>;
  /** Called with the database whose snapshot this one waits for. */
  readonly onQueued: NonNullable<ComparisonSnapshotOptions["onQueued"]>;
  /** Whether the target has a sequence of the source. */
  readonly hasSequence: (sequence: SequenceName) => boolean;
  /** Number of steps by which sequences are set ahead. */
  readonly sequenceMargin: number;
  /** Called with the values that the sequences of the target received. */
  readonly onSequences: (sequences: readonly SequenceState[]) => Promise<void>;
  /** Raises the fence, which makes the source read-only. Undefined without a fence. */
  readonly putUpFence?: (() => Promise<void>) | undefined;
  /** Called if changes were written in spite of the fence. They have been applied to the target. */
  readonly onEscapedChanges: (changes: number) => Promise<void>;
  /** Refreshes the materialized views of the target. */
  readonly refreshMaterializedViews: () => Promise<void>;
  /**
   * Checks after the cutover LSN that the schema is still the one that was applied to the target.
   *
   * @throws ConcurrentChangeError when it is not; a cutover at another LSN may succeed
   * @throws RefusedError naming the statements that the operator has to run
   */
  readonly requireSchema: () => Promise<void>;
  /** Compares the target with the source at the cutover LSN; returns the step's name. @throws ContentDiffersError */
  readonly compare: (point: PointToCompare) => Promise<string>;
  readonly onStep: (step: string, seconds: number) => Promise<void>;
}

export interface PointToCompare {
  /** The cutover LSN. */
  readonly lsn: string;
  readonly snapshotId: string;
  /** Resolves when everything up to the cutover LSN is applied. The source may be read before. */
  readonly targetRests: Promise<void>;
  readonly signal: AbortSignal;
}

/** How long to wait for transactions that were open on the source when the cutover began. */
const openTransactionsSeconds = 300;

/**
 * Applies every transaction that committed on the source before the cutover LSN, and none after. The stream then stops there.
 * After an error, slot and stream are unchanged and the cutover can be retried. The caller has to lift the fence then.
 *
 * @throws UnreachableError when a connection is lost, including that of the snapshot; another attempt may succeed
 */
export async function cutOver(cut: CutOver): Promise<void> {
  try {
    await limitLockWaits(cut.sourceSession);
    await limitLockWaits(cut.targetSession);
    await reachPoint(cut);
  } catch (error) {
    cut.follower.resume();
    // These errors already name the step.
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
    // Catch up before the fence is raised, so that writers are blocked as briefly as possible.
    await timed(cut, "catch up", () => catchUp(cut));
    await timed(cut, "put up the fence", cut.putUpFence);
  }
  // Held first: a transaction after the cutover LSN must not be applied before the LSN is known.
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
      onQueued: cut.onQueued,
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

/** Applies and compares at the same time: the source is read at once, and the target when the stream has stopped. */
async function bringToPoint(cut: CutOver, { lsn, snapshot }: ComparisonSnapshot): Promise<void> {
  const over = new AbortController();
  let rest = (): void => undefined;
  const targetRests = new Promise<void>((resolve) => (rest = resolve));
  const signal = AbortSignal.any([cut.signal, snapshot.lost, over.signal]);
  const compared = cut.compare({ lsn: formatLsn(lsn), snapshotId: snapshot.id, targetRests, signal });
  const comparisonFails = compared.then(() => new Promise<never>(() => undefined));
  comparisonFails.catch(() => undefined);
  try {
    await timed(cut, "apply all commits up to it", () => Promise.race([cut.follower.drainTo(lsn), comparisonFails]));
    rest();
    await timed(cut, "carry over sequences", () => carryOverSequences(cut));
    await timed(cut, "refresh materialized views", cut.refreshMaterializedViews);
    // The rest of the comparison: the source has been read meanwhile.
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
  await cut.onSequences(await carrySequences(cut.sourceSession, cut.targetSession, { margin, only }));
}

async function catchUp({ follower, sourceSession }: CutOver): Promise<void> {
  // Held first, as for the cutover LSN.
  await follower.hold();
  await follower.drainTo(await currentLsn(sourceSession));
  follower.resume();
}

/** A session can override the fence. Its writes after the cutover LSN must not be lost with the slot. */
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
