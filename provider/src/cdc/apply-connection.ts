import type { Notifier } from "../async/notifier.js";
import { UnreachableError, asError } from "../errors.js";
import { omitAges } from "../postgres/locks/blocking-sessions.js";
import type { Lsn } from "../postgres/lsn.js";
import { abandon, whatBroke } from "../postgres/connection/session.js";
import { Applier, type Batch } from "./apply/applier.js";
import { BacklogReader } from "./reader/backlog-reader.js";
import type { ChangeStream, ChangeStreamHandlers } from "./reader/change-stream.js";
import type { Decoder, StreamMessage, Transaction } from "./model/change.js";
import { type FollowSessions, endSessions, openSessions, silenceLimitMs } from "./follow-sessions.js";
import type { FollowOptions } from "./follow-options.js";
import type { ApplyBarrier } from "./apply-barrier.js";
import { TransactionBuffer, type BatchSegment } from "./batch/transaction-buffer.js";
import type { SourceClock } from "./source/lag.js";
import { withoutTables } from "./decode/skip-tables.js";
import { emitHeartbeatMessage } from "./heartbeat-message.js";
import { rolesOf } from "./model/stream-roles.js";
import { verifySlotHistory } from "./source/verify-slot-history.js";
import { pgOutputOptions } from "./decode/pgoutput.js";
import { SlotHistory } from "./source/slot-history.js";
import { type StreamSlot, asWalRemoved, verifySlotPlace } from "./source/slot-identity.js";
import { type StreamBegin, beginStream, limitsOf } from "./start-stream.js";
import { testDecodingOptions } from "./decode/test-decoding.js";
import type { ValueForm } from "./model/value-form.js";
import { WalSender, type WalSenderHandlers } from "./reader/walsender.js";

const batchLimits = { changes: 20_000, bytes: 8 << 20, tables: 1000 };
/** Beyond it the socket is not read: one batch at the target, one that is prepared, one that is received. */
const inFlightBytes = 3 * batchLimits.bytes;
/** How often an idle source is let go on, at a row's update on the target each time. */
const passOverEveryMs = 5000;
const tickMs = 200;
const ticksPerQuestion = 5;
/** A minute, by the limit that stands by default: a lock that is held for longer does not pass by itself. */
const looksAtLock = 4;
/** How long a slot and its progress may take to be taken up: the server may have to end a predecessor's sessions first. */
const startLimitMs = 120_000;

/** Reader and applier over one set of connections, from their opening to their loss. */
export class ApplyConnection {
  readonly applier: Applier;
  readonly form: ValueForm;
  readonly clock: SourceClock;
  readonly buffer: TransactionBuffer;
  /** Changes that the target has taken of a transaction of which it has not all. */
  takenOfTransaction = 0;
  /** What the applier has been given and still needs. */
  #applying: readonly BatchSegment[] = [];
  #ahead: { readonly batch: Batch; readonly bound: Lsn | undefined } | undefined;
  readonly #sessions: FollowSessions;
  #stream: ChangeStream;
  readonly #decoder: Decoder;
  readonly #notifier: Notifier;
  readonly #slot: StreamSlot;
  readonly #startedAfter: Lsn;
  /** Undefined with test_decoding, of which it is known before: {@link verifySlotHistory}. */
  readonly #past: SlotHistory | undefined;
  readonly #skip: ReadonlySet<string>;
  #skipping = false;
  /** What comes is known to begin where the target's ends; it is not applied before. */
  #hasSlot = true;
  #receivedLsn: Lsn;
  /** The backlog's session, read and on its way out. */
  #parting: Promise<void> | undefined;
  #passedOverAt = Date.now();
  #lost: Error | undefined;
  #ticker: NodeJS.Timeout;
  #ticks = 0;
  #nudgedFor: Lsn | undefined;
  readonly #silenceLimitMs: number;
  /** Since when questions to the source are without an answer. */
  #askedAt: number | undefined;

  /**
   * Connects, takes the progress up and starts the stream.
   *
   * @param takeOver whether to become the holder of the progress; else it has to be ours still
   * @param stopped ends what may take long
   */
  static async open(
    options: FollowOptions,
    notifier: Notifier,
    barrier: ApplyBarrier,
    takeOver: boolean,
    stopped: AbortSignal,
  ): Promise<ApplyConnection> {
    let saidBlocked: string | undefined;
    const sessions = await openSessions(options, (by, looks) => {
      if (looks >= looksAtLock) barrier.blocked(by, rolesOf(options));
      // Its age, which it ends with, is another one each time.
      const who = omitAges(by);
      if (who !== saidBlocked) options.onEvent?.({ kind: "blocked", by });
      saidBlocked = who;
    });
    try {
      const begin = await withinLimit(sessions, beginStream(sessions, options, takeOver));
      // It takes as long as decoding does, from where the source has to begin with it.
      if (options.plugin === "test_decoding")
        await verifySlotHistory(sessions.source, begin.progress, rolesOf(options), stopped);
      return new ApplyConnection(begin, options, notifier, barrier);
    } catch (error) {
      await endSessions(sessions);
      throw error;
    }
  }

  private constructor(begin: StreamBegin, options: FollowOptions, notifier: Notifier, barrier: ApplyBarrier) {
    const { sessions, progress, clock, form, decoder } = begin;
    const { migration, generation, parts, onEvent } = options;
    this.#sessions = sessions;
    this.applier = new Applier(sessions.target, {
      ...{ migration, generation, progress, form, parts },
      onOrderedBatch: (reason) => onEvent?.({ kind: "orderedBatch", reason }),
      onDone: (segments) => this.#done(segments),
    });
    this.form = form;
    this.clock = clock;
    this.#notifier = notifier;
    this.buffer = new TransactionBuffer(batchLimits);
    this.#decoder = decoder;
    this.#startedAfter = this.#receivedLsn = progress.appliedThroughLsn;
    this.#skip = options.skip ?? new Set();
    this.#slot = { name: options.slot, parts: rolesOf(options) };
    this.#past = options.plugin === "test_decoding" ? undefined : new SlotHistory(progress, this.#slot);
    this.#silenceLimitMs = silenceLimitMs(options);
    this.#stream = this.#begin(begin, options, barrier);
    this.#ticker = setInterval(() => this.#tick(barrier), tickMs);
  }

  #begin(
    { sessions, progress, form, backlog }: StreamBegin,
    options: FollowOptions,
    barrier: ApplyBarrier,
  ): ChangeStream {
    const { plugin, publications } = options;
    const pluginOptions = plugin === "test_decoding" ? testDecodingOptions : pgOutputOptions(publications, form);
    const handlers = this.#handlersFor(barrier);
    const stream = (readTo: Lsn): ChangeStream => {
      this.#hasSlot = false;
      const looks = { ...handlers, ...this.#lookAtSlot() };
      const { name } = this.#slot;
      if (!this.#isOfOnePast) return WalSender.start(sessions.stream, name, readTo, 0n, pluginOptions, looks);
      const { appliedThroughLsn } = this.applier;
      const from = readTo > progress.appliedThroughLsn ? readTo : progress.appliedThroughLsn;
      return WalSender.start(sessions.stream, name, from, appliedThroughLsn, pluginOptions, looks);
    };
    if (!backlog) return stream(0n);
    const { appliedThroughLsn } = progress;
    return new BacklogReader(
      backlog,
      sessions.source,
      this.#slot,
      appliedThroughLsn,
      pluginOptions,
      limitsOf(options),
      {
        ...handlers,
        // The first is where the copy of the slot was made, which is nobody else's.
        onKeepalive: (end) => {
          this.#past?.begin(end);
          this.#hear(end);
        },
        onRead: (end) => this.#goOnWith(() => stream(end)),
      },
    );
  }

  #handlersFor(barrier: ApplyBarrier): ChangeStreamHandlers {
    return {
      onData: (bytes, start, end, position) => {
        const message = withoutTables(this.#skip, this.#decoder.decode(bytes, start, end, position));
        this.#receive(message, end - start, barrier);
      },
      onKeepalive: (end) => this.#hear(end),
      onLost: (error) => this.#lose(error),
      isBusy: () => this.#applying.length > 0,
      silenceLimitMs: this.#silenceLimitMs,
    };
  }

  /** How far the stream has come: every transaction that committed before has been received. */
  get receivedLsn(): Lsn {
    return this.#receivedLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#stream.confirmed;
  }

  /** The oldest transaction that is received and not durable on the target. */
  get oldest(): Transaction | undefined {
    return (this.#applying[0] ?? this.#ahead?.batch.segments[0])?.transaction ?? this.buffer.oldest;
  }

  /** Transactions of which a part is received and not yet durable on the target. */
  get pendingTransactions(): number {
    const taken = this.#applying.length + (this.#ahead?.batch.segments.length ?? 0);
    return taken + this.buffer.pendingTransactions;
  }

  /** The target's backend, for ending a statement that does not end. */
  get targetProcessId(): number {
    return this.#sessions.watch.processId;
  }

  /** Ends what runs at the target here, whatever becomes of it there. */
  abandonTarget(): void {
    abandon(this.#sessions.target, new UnreachableError("the session with the target was given up"));
  }

  /**
   * Applies batch after batch until told to stop.
   *
   * @throws what a connection was lost by, or what a batch could not be applied for
   */
  async run(barrier: ApplyBarrier, stopping: () => boolean): Promise<void> {
    const { source, stream, target } = this.#sessions;
    try {
      await this.#applyUntil(stopping, barrier);
    } catch (error) {
      throw whatBroke(error, [target, source, stream]);
    }
  }

  async #applyUntil(stopping: () => boolean, barrier: ApplyBarrier): Promise<void> {
    while (!stopping()) {
      if (this.#lost) throw this.#lost;
      const notified = this.#notifier.next;
      if (this.#hasSlot && this.#isOfOnePast) {
        if (await this.#applyNext(barrier, stopping)) continue;
        if (await this.#advanceIdlePosition(barrier)) continue;
        this.#settle(barrier);
      }
      await notified;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#ticker);
    await Promise.all([this.#stream.close(), this.#parting]);
    await endSessions(this.#sessions);
  }

  async #applyNext(barrier: ApplyBarrier, stopping: () => boolean): Promise<boolean> {
    const batch = this.#nextBatch(barrier);
    if (!batch && !this.applier.hasToCommit) return false;
    if (batch) this.#applying = [...this.#applying, ...batch.segments];
    const isFollowed = (): boolean => {
      if (stopping() || this.#lost !== undefined) return false;
      // However small it is: it would have to wait for the answer to the COMMIT that it can go with.
      this.#takeAhead(barrier);
      return this.#isReady(barrier);
    };
    const work = batch ? this.applier.apply(batch, isFollowed) : this.applier.commit();
    let isApplied = false;
    const applied = this.#sessions.watch.during(work).finally(() => {
      isApplied = true;
      this.#notifier.notify();
    });
    // What it fails by is thrown below, once nothing is being prepared any more.
    applied.catch(() => undefined);
    while (!isApplied) {
      const notified = this.#notifier.next;
      // Folded and written down while the target is busy with this one; a small one can wait to grow.
      if (this.buffer.hasFullBatch) this.#takeAhead(barrier);
      if (this.#ahead) this.applier.stageAhead(this.#ahead.batch);
      await notified;
    }
    await applied;
    this.takenOfTransaction = this.applier.uncommittedChanges;
    return true;
  }

  #done(segments: readonly BatchSegment[]): void {
    this.#applying = this.#applying.slice(segments.length);
    this.buffer.release(segments);
    if (this.buffer.bytes <= inFlightBytes - batchLimits.bytes / 2) this.#stream.resume();
    this.#confirm();
  }

  /** The next batch can be sent as it is. */
  #isReady(barrier: ApplyBarrier): boolean {
    return this.#ahead?.batch.built !== undefined && this.#ahead.bound === barrier.bound;
  }

  /** The batch that was prepared, if the barrier still stands as it stood then. */
  #nextBatch(barrier: ApplyBarrier): Batch | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead && ahead.bound === barrier.bound) return ahead.batch;
    if (ahead) this.buffer.requeue(ahead.batch.segments);
    const segments = this.buffer.take(barrier.bound);
    return segments && { segments };
  }

  /** Folds and writes the next batch down. */
  #takeAhead(barrier: ApplyBarrier): void {
    if (this.#ahead) return;
    const segments = this.buffer.take(barrier.bound);
    if (segments) this.#ahead = { batch: this.applier.prepare(segments), bound: barrier.bound };
  }

  /** Only with nothing received that is not applied: the position heard covers what is still on its way here. */
  async #advanceIdlePosition(barrier: ApplyBarrier): Promise<boolean> {
    if (!this.buffer.empty || this.applier.inTransaction || barrier.bound === 0n) return false;
    if (this.#receivedLsn <= this.applier.appliedThroughLsn) return false;
    const due = barrier.awaited !== undefined || Date.now() - this.#passedOverAt >= passOverEveryMs;
    if (!due) return false;
    this.#passedOverAt = Date.now();
    await this.#sessions.watch.during(this.applier.advanceIdlePosition(this.#receivedLsn));
    this.#confirm();
    return true;
  }

  #confirm(): void {
    if (this.#isOfOnePast) this.#stream.confirm(this.applier.appliedThroughLsn);
  }

  get #isOfOnePast(): boolean {
    return this.#past?.isVerified ?? true;
  }

  #endPast(): void {
    if (this.#isOfOnePast) return;
    this.#past?.end();
    this.#confirm();
  }

  #settle(barrier: ApplyBarrier): void {
    const { bound } = barrier;
    if (bound === undefined || this.applier.inTransaction) return;
    const reached = bound === 0n || this.applier.appliedThroughLsn >= bound || this.buffer.hasTakenAllThrough(bound);
    if (reached) barrier.reached(this.applier.lastCommitLsn);
    // It may have been paused before the barrier was closed; only this transaction's end tells whether it lies before.
    else if (this.buffer.headHasUnknownLsn) this.#stream.resume();
  }

  #receive(message: StreamMessage, messageBytes: number, barrier: ApplyBarrier): void {
    if (message.kind === "begin") {
      // The server skips by the same rule; this holds if it should ever start earlier.
      const { commitLsn } = message.transaction;
      this.#skipping = commitLsn !== undefined && commitLsn < this.#startedAfter;
      if (!this.#skipping) this.#endPast();
    }
    if (this.#skipping) {
      this.#past?.add(message);
      return;
    }
    this.buffer.receive(message, messageBytes);
    if (message.kind === "commit") this.#receivedLsn = message.endLsn;
    // Whether a transaction lies before a closed barrier may only be known from its end: then that has to come in.
    const mustGoOn = barrier.bound !== undefined && this.buffer.headHasUnknownLsn;
    if (this.buffer.bytes > inFlightBytes && !mustGoOn) this.#stream.pause();
    this.#notifier.notify();
  }

  /** What is confirmed from here on is confirmed by it; what the former stream has read is here. */
  #goOnWith(next: () => ChangeStream): void {
    this.#parting = this.#stream.close();
    try {
      this.#stream = next();
    } catch (error) {
      this.#lose(asError(error));
    }
  }

  /**
   * A slot that was dropped and made anew, or moved on, begins behind what it was asked for, without a word: it is looked at
   * once nobody else can have it any more, and where it is refused, which may be why.
   */
  #lookAtSlot(): Pick<WalSenderHandlers, "onBegun" | "onLost"> {
    let hasBegun = false;
    const look = () => verifySlotPlace(this.#sessions.source, this.#slot, () => this.applier.appliedThroughLsn);
    const begin = async (): Promise<void> => {
      this.#past?.begin(await look());
      this.#hasSlot = true;
      this.#confirm();
      this.#notifier.notify();
    };
    const fail = async (error: Error): Promise<never> => {
      await look();
      throw error;
    };
    return {
      onBegun: () => {
        hasBegun = true;
        this.#ask(begin());
      },
      onLost: (error) => {
        if (hasBegun) this.#lose(error);
        else this.#ask(fail(error));
      },
    };
  }

  #hear(end: Lsn): void {
    // While a transaction is being received, the position heard is of its middle and says nothing.
    if (this.buffer.receiving) return;
    if (end >= this.#startedAfter) this.#endPast();
    if (end <= this.#receivedLsn) return;
    this.#receivedLsn = end;
    this.#notifier.notify();
  }

  #lose(error: Error): void {
    this.#lost ??= asWalRemoved(this.#slot, error);
    this.#notifier.notify();
  }

  #tick(barrier: ApplyBarrier): void {
    if (barrier.awaited !== undefined) {
      this.#stream.ping();
      if (this.#nudgedFor !== barrier.awaited) this.#ask(emitHeartbeatMessage(this.#sessions.source));
      this.#nudgedFor = barrier.awaited;
    }
    if (this.#ticks++ % ticksPerQuestion === 0 && this.#askedAt === undefined) this.#ask(this.clock.ask());
    const silentMs = Date.now() - (this.#askedAt ?? Date.now());
    if (silentMs > this.#silenceLimitMs)
      this.#lose(new UnreachableError(`the source has not answered for ${Math.round(silentMs / 1000)} s`));
    this.#notifier.notify();
  }

  /** One after the other, as the session answers them. */
  #ask(question: Promise<unknown>): void {
    this.#askedAt ??= Date.now();
    question.then(
      () => (this.#askedAt = undefined),
      (error: unknown) => this.#lose(asError(error)),
    );
  }
}

/** Gives the sessions up where a server has accepted them and then does not answer. */
async function withinLimit<Result>({ source, stream, target }: FollowSessions, work: Promise<Result>): Promise<Result> {
  const late = setTimeout(() => {
    const stuck = new UnreachableError(
      `a server has not answered for ${startLimitMs / 1000} s when the stream was to start`,
    );
    for (const session of [source, stream, target]) abandon(session, stuck);
  }, startLimitMs);
  try {
    return await work;
  } finally {
    clearTimeout(late);
  }
}
