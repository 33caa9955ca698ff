import type { Notifier } from "../async/notifier.js";
import { UnreachableError } from "../errors.js";
import type { OnBlocked } from "../postgres/connection/session-watch.js";
import { abandon, connectionErrorOf } from "../postgres/connection/session.js";
import { omitAges } from "../postgres/locks/blocking-sessions.js";
import type { Lsn } from "../postgres/lsn.js";
import { useSearchPath } from "../postgres/search-path.js";
import { ParallelApply } from "./parallel-apply.js";
import type { ApplyBarrier } from "./apply-barrier.js";
import { Applier, type ApplierOptions } from "./apply/applier.js";
import { BatchQueue } from "./apply/batch-queue.js";
import { batchLimits } from "./batch/batch-limits.js";
import { TransactionBuffer } from "./batch/transaction-buffer.js";
import type { FollowOptions } from "./follow-options.js";
import { type FollowSessions, endSessions, openSessions, silenceLimitMs } from "./follow-sessions.js";
import type { Transaction } from "./model/change.js";
import { rolesOf } from "./model/stream-roles.js";
import type { ValueForm } from "./model/value-form.js";
import type { SourceClock } from "./source/lag.js";
import { asWalRemoved } from "./source/slot-identity.js";
import { SourceMonitor } from "./source/source-monitor.js";
import { verifySlotHistory } from "./source/verify-slot-history.js";
import { type StreamBegin, beginStream } from "./start-stream.js";
import { StreamReceiver } from "./stream-receiver.js";

/** How often the progress advances on an idle source. Each time updates a row on the target. */
const advanceIdleEveryMs = 5000;
/** After this number of checks (a minute by default), a wait for a lock is not expected to end soon. */
const maxLockChecks = 4;
/** The limit for the start: the server may have to end a predecessor's sessions first. */
const startLimitMs = 120_000;

/** Shared by the connections of one follower. */
export interface ApplyConnectionContext {
  readonly notifier: Notifier;
  readonly barrier: ApplyBarrier;
  /** One session applies everything that committed at or before this LSN. */
  readonly singleThroughLsn: Lsn;
  /** Cancels a start that may take long. */
  readonly stopped: AbortSignal;
}

/** Reads and applies changes over one set of connections, until one of them is lost. */
export class ApplyConnection {
  readonly applier: Applier;
  readonly form: ValueForm;
  readonly clock: SourceClock;
  readonly buffer: TransactionBuffer;
  /** Applied changes of a transaction that is not completely applied. */
  takenOfTransaction = 0;
  readonly #options: FollowOptions;
  readonly #sessions: FollowSessions;
  readonly #notifier: Notifier;
  readonly #barrier: ApplyBarrier;
  readonly #parallel: ParallelApply;
  readonly #queue: BatchQueue;
  readonly #receiver: StreamReceiver;
  readonly #monitor: SourceMonitor;
  #advancedIdleAt = Date.now();
  #failure: Error | undefined;

  /** Opens the connections, reads the progress, and starts the stream. */
  static async open(options: FollowOptions, context: ApplyConnectionContext): Promise<ApplyConnection> {
    let lastBlocker: string | undefined;
    const onBlocked: OnBlocked = (by, checks) => {
      if (checks >= maxLockChecks) context.barrier.blocked(by, rolesOf(options));
      // The text ends with the age of the transaction, which changes each time.
      const blocker = omitAges(by);
      if (blocker !== lastBlocker) options.onEvent?.({ kind: "blocked", by });
      lastBlocker = blocker;
    };
    const sessions = await openSessions(options, onBlocked);
    try {
      const begin = await withinLimit(sessions, beginStream(sessions, options), context.stopped);
      // No time limit: the check decodes the WAL from the start of the source's oldest open transaction on.
      if (options.plugin === "test_decoding")
        await verifySlotHistory(sessions.source, begin.progress, rolesOf(options), context.stopped);
      if (options.searchPath) await useSearchPath(sessions.target, options.searchPath);
      return new ApplyConnection(begin, options, { ...context, onBlocked });
    } catch (error) {
      await endSessions(sessions);
      throw error;
    }
  }

  private constructor(
    begin: StreamBegin,
    options: FollowOptions,
    { notifier, barrier, singleThroughLsn, onBlocked }: ApplyConnectionContext & { readonly onBlocked: OnBlocked },
  ) {
    const { sessions, progress, tableProgress, clock, form, remaining } = begin;
    const { migration, generation, parts, writableTables, isExchanged, onEvent } = options;
    this.#options = options;
    this.#sessions = sessions;
    this.#notifier = notifier;
    this.#barrier = barrier;
    this.form = form;
    this.clock = clock;
    this.buffer = new TransactionBuffer(batchLimits);
    const applier: ApplierOptions = {
      ...{ migration, generation, progress, tableProgress, form, parts, writableTables, isExchanged },
      onOrderedBatch: (reason) => onEvent?.({ kind: "orderedBatch", reason }),
    };
    this.applier = new Applier(sessions.target, {
      ...applier,
      onDone: (segments) => {
        this.#queue.release(segments);
        this.#receiver.resumeIfBelowLimit();
        this.#receiver.confirm();
      },
    });
    const lastApplied = remaining?.latestLsn ?? 0n;
    this.#parallel = new ParallelApply({
      ...{ follow: options, main: this.applier, session: sessions, applier, buffer: this.buffer, onBlocked },
      singleThroughLsn: singleThroughLsn > lastApplied ? singleThroughLsn : lastApplied,
      onOpened: () => notifier.notify(),
    });
    this.#queue = new BatchQueue(this.#parallel, this.buffer, barrier, this.applier);
    this.#receiver = new StreamReceiver({
      ...{ begin, follow: options, buffer: this.buffer, barrier },
      appliedThroughLsn: () => this.applier.appliedThroughLsn,
      isApplying: () => this.#queue.isApplying,
      watchQuery: (query) => this.#monitor.watch(query),
      onReceived: () => notifier.notify(),
      onFailed: (error) => this.#fail(error),
    });
    this.#monitor = new SourceMonitor({
      ...{ source: sessions.source, clock, silenceLimitMs: silenceLimitMs(options) },
      awaitedLsn: () => barrier.awaited,
      onAwaited: () => this.#receiver.ping(),
      onTick: () => notifier.notify(),
      onFailed: (error) => this.#fail(error),
    });
  }

  /** Every transaction that committed before this LSN has been received. */
  get receivedLsn(): Lsn {
    return this.#receiver.receivedLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#receiver.confirmedLsn;
  }

  /** The oldest transaction that is received and not durable on the target. */
  get oldest(): Transaction | undefined {
    return this.#queue.oldest;
  }

  /** The number of transactions that are received, completely or in part, and not durable on the target. */
  get pendingTransactions(): number {
    return this.#queue.pendingTransactions;
  }

  /** The target's backends, to terminate a statement that does not end. */
  get targetProcessIds(): number[] {
    return this.#parallel.processIds;
  }

  /** The number of sessions that apply changes. */
  get applySessions(): number {
    return this.#parallel.sessions;
  }

  /** Batches that several sessions applied. */
  get parallelBatches(): number {
    return this.#parallel.batches;
  }

  /** The end of the last batch that apply sessions could not apply; 0 without one. */
  get failedThroughLsn(): Lsn {
    return this.#parallel.failedThroughLsn;
  }

  /** Rejects the target's queries without waiting for the server. */
  abandonTarget(): void {
    this.#parallel.abandon();
  }

  /**
   * Applies batches until `isStopping`.
   *
   * @throws the error that ended a connection, or with which a batch failed
   */
  async run(isStopping: () => boolean): Promise<void> {
    const { source, stream, target } = this.#sessions;
    try {
      await this.#applyUntil(isStopping);
    } catch (error) {
      throw connectionErrorOf(error, [target, source, stream]);
    }
  }

  async close(): Promise<void> {
    this.#monitor.close();
    await this.#receiver.close();
    await this.#parallel.close();
    await endSessions(this.#sessions);
  }

  async #applyUntil(isStopping: () => boolean): Promise<void> {
    while (!isStopping()) {
      if (this.#failure) throw this.#failure;
      const notified = this.#notifier.next;
      if (this.#receiver.isVerified) {
        if (await this.#applyNext(isStopping)) continue;
        if (await this.#advanceIdlePosition()) continue;
        this.#reportReached();
      }
      await notified;
    }
  }

  async #applyNext(isStopping: () => boolean): Promise<boolean> {
    await this.#parallel.adapt();
    const batch = this.#queue.take();
    if (!batch && !this.applier.hasToCommit) return false;
    const isFollowed = (): boolean => {
      if (isStopping() || this.#failure !== undefined) return false;
      // Prepare even a small batch: it can be sent with the COMMIT. Otherwise it has to wait for the COMMIT's answer.
      this.#queue.prepareNext();
      return this.#queue.isNextReady;
    };
    const work = batch ? this.#parallel.apply(batch, isFollowed) : this.#sessions.watch.during(this.applier.commit());
    let isApplied = false;
    const applied = work.finally(() => {
      isApplied = true;
      this.#notifier.notify();
    });
    // Prevents an unhandled rejection. The error is thrown below, when no batch is being prepared.
    applied.catch(() => undefined);
    while (!isApplied) {
      const notified = this.#notifier.next;
      // Prepare a full batch while the target is busy. A small one waits to grow.
      if (this.#parallel.hasFullBatch) this.#queue.prepareNext();
      this.#queue.stageNext();
      await notified;
    }
    await applied;
    this.takenOfTransaction = this.applier.uncommittedChanges;
    return true;
  }

  /** Does nothing unless everything received is applied: the received position would cover changes that are not applied. */
  async #advanceIdlePosition(): Promise<boolean> {
    if (!this.buffer.empty || this.applier.inTransaction || this.#barrier.bound === 0n) return false;
    const { receivedLsn } = this.#receiver;
    if (receivedLsn <= this.applier.appliedThroughLsn) return false;
    const isDue = this.#barrier.awaited !== undefined || Date.now() - this.#advancedIdleAt >= advanceIdleEveryMs;
    if (!isDue) return false;
    this.#advancedIdleAt = Date.now();
    await this.#sessions.watch.during(this.applier.advanceIdlePosition(receivedLsn));
    this.#receiver.confirm();
    return true;
  }

  /** Reports to the barrier when everything that it allows is applied. */
  #reportReached(): void {
    const { bound } = this.#barrier;
    if (bound === undefined || this.applier.inTransaction) return;
    const isReached = bound === 0n || this.applier.appliedThroughLsn >= bound || this.buffer.hasTakenAllThrough(bound);
    if (isReached) this.#barrier.reached(this.applier.lastCommitLsn);
    // Reading may have paused before the barrier was closed. Only the end of this transaction shows its commit LSN.
    else if (this.buffer.headHasUnknownLsn) this.#receiver.resume();
  }

  #fail(error: Error): void {
    this.#failure ??= asWalRemoved({ name: this.#options.slot, parts: rolesOf(this.#options) }, error);
    this.#notifier.notify();
  }
}

/** Abandons the sessions if a server accepted them and then does not answer, or when the follower stops. */
async function withinLimit<Result>(
  { source, stream, target }: FollowSessions,
  work: Promise<Result>,
  stopped: AbortSignal,
): Promise<Result> {
  const end = (reason: string): void => {
    for (const session of [source, stream, target]) abandon(session, new UnreachableError(reason));
  };
  const stop = (): void => end("the stream was stopped at its start");
  const timer = setTimeout(
    () => end(`a server has not answered for ${startLimitMs / 1000} s at the start of the stream`),
    startLimitMs,
  );
  // The follower may have stopped while the sessions were opened.
  if (stopped.aborted) stop();
  stopped.addEventListener("abort", stop, { once: true });
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    stopped.removeEventListener("abort", stop);
  }
}
