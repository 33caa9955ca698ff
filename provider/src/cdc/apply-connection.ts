import type { Bell } from "../bell.js";
import { Unreachable, asError } from "../errors.js";
import { withoutAges } from "../postgres/locks/blocking-sessions.js";
import type { Lsn } from "../postgres/lsn.js";
import { abandon, whatBroke } from "../postgres/connection/session.js";
import { Applier, type Batch } from "./apply/applier.js";
import { BacklogReader } from "./reader/backlog-reader.js";
import type { ChangeStream, ChangeStreamHandlers } from "./reader/change-stream.js";
import type { Decoder, StreamMessage, Transaction } from "./model/change.js";
import { type FollowSessions, endSessions, openSessions, silenceLimitMs } from "./follow-sessions.js";
import type { FollowOptions } from "./follower.js";
import type { Gate } from "./apply-barrier.js";
import { Inbox, type Segment } from "./batch/transaction-buffer.js";
import type { SourceClock } from "./source/lag.js";
import { withoutTables } from "./decode/skip-tables.js";
import { nudge } from "./heartbeat-message.js";
import { partsOf } from "./parts.js";
import { peekPast } from "./source/verify-slot-history.js";
import { pgOutputOptions } from "./decode/pgoutput.js";
import { SharedPast } from "./source/slot-history.js";
import { type StreamSlot, orWalGone, verifySlotPlace } from "./source/slot-identity.js";
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
export class Pipeline {
  readonly applier: Applier;
  readonly form: ValueForm;
  readonly clock: SourceClock;
  readonly inbox: Inbox;
  /** Changes that the target has taken of a transaction of which it has not all. */
  takenOfTransaction = 0;
  /** What the applier has been given and still needs. */
  #applying: readonly Segment[] = [];
  #ahead: { readonly batch: Batch; readonly bound: Lsn | undefined } | undefined;
  readonly #sessions: FollowSessions;
  #stream: ChangeStream;
  readonly #decoder: Decoder;
  readonly #bell: Bell;
  readonly #slot: StreamSlot;
  readonly #startedAfter: Lsn;
  /** Undefined with test_decoding, of which it is known before: {@link peekPast}. */
  readonly #past: SharedPast | undefined;
  readonly #leaveOut: ReadonlySet<string>;
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
    bell: Bell,
    gate: Gate,
    takeOver: boolean,
    stopped: AbortSignal,
  ): Promise<Pipeline> {
    let saidBlocked: string | undefined;
    const sessions = await openSessions(options, (by, looks) => {
      if (looks >= looksAtLock) gate.heldUp(by, partsOf(options));
      // Its age, which it ends with, is another one each time.
      const who = withoutAges(by);
      if (who !== saidBlocked) options.onEvent?.({ kind: "blocked", by });
      saidBlocked = who;
    });
    try {
      const begin = await withinLimit(sessions, beginStream(sessions, options, takeOver));
      // It takes as long as decoding does, from where the source has to begin with it.
      if (options.plugin === "test_decoding")
        await peekPast(sessions.source, begin.progress, partsOf(options), stopped);
      return new Pipeline(begin, options, bell, gate);
    } catch (error) {
      await endSessions(sessions);
      throw error;
    }
  }

  private constructor(begin: StreamBegin, options: FollowOptions, bell: Bell, gate: Gate) {
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
    this.#bell = bell;
    this.inbox = new Inbox(batchLimits);
    this.#decoder = decoder;
    this.#startedAfter = this.#receivedLsn = progress.throughLsn;
    this.#leaveOut = options.leaveOut ?? new Set();
    this.#slot = { name: options.slot, parts: partsOf(options) };
    this.#past = options.plugin === "test_decoding" ? undefined : new SharedPast(progress, this.#slot);
    this.#silenceLimitMs = silenceLimitMs(options);
    this.#stream = this.#begin(begin, options, gate);
    this.#ticker = setInterval(() => this.#tick(gate), tickMs);
  }

  #begin({ sessions, progress, form, backlog }: StreamBegin, options: FollowOptions, gate: Gate): ChangeStream {
    const { plugin, publications } = options;
    const pluginOptions = plugin === "test_decoding" ? testDecodingOptions : pgOutputOptions(publications, form);
    const handlers = this.#handlersFor(gate);
    const stream = (readTo: Lsn): ChangeStream => {
      this.#hasSlot = false;
      const looks = { ...handlers, ...this.#lookAtSlot() };
      const { name } = this.#slot;
      if (!this.#isOfOnePast) return WalSender.start(sessions.stream, name, readTo, 0n, pluginOptions, looks);
      const { throughLsn } = this.applier;
      const from = readTo > progress.throughLsn ? readTo : progress.throughLsn;
      return WalSender.start(sessions.stream, name, from, throughLsn, pluginOptions, looks);
    };
    if (!backlog) return stream(0n);
    const { throughLsn } = progress;
    return new BacklogReader(backlog, sessions.source, this.#slot, throughLsn, pluginOptions, limitsOf(options), {
      ...handlers,
      // The first is where the copy of the slot was made, which is nobody else's.
      onKeepalive: (end) => {
        this.#past?.begins(end);
        this.#hear(end);
      },
      onRead: (end) => this.#goOnWith(() => stream(end)),
    });
  }

  #handlersFor(gate: Gate): ChangeStreamHandlers {
    return {
      onData: (bytes, start, end, position) => {
        const message = withoutTables(this.#leaveOut, this.#decoder.decode(bytes, start, end, position));
        this.#receive(message, end - start, gate);
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
    return (this.#applying[0] ?? this.#ahead?.batch.segments[0])?.transaction ?? this.inbox.oldest;
  }

  /** Transactions of which a part is received and not yet durable on the target. */
  get pendingTransactions(): number {
    const taken = this.#applying.length + (this.#ahead?.batch.segments.length ?? 0);
    return taken + this.inbox.pendingTransactions;
  }

  /** The target's backend, for ending a statement that does not end. */
  get targetProcessId(): number {
    return this.#sessions.watch.processId;
  }

  /** Ends what runs at the target here, whatever becomes of it there. */
  abandonTarget(): void {
    abandon(this.#sessions.target, new Unreachable("the session with the target was given up"));
  }

  /**
   * Applies batch after batch until told to stop.
   *
   * @throws what a connection was lost by, or what a batch could not be applied for
   */
  async run(gate: Gate, stopping: () => boolean): Promise<void> {
    const { source, stream, target } = this.#sessions;
    try {
      await this.#applyUntil(stopping, gate);
    } catch (error) {
      throw whatBroke(error, [target, source, stream]);
    }
  }

  async #applyUntil(stopping: () => boolean, gate: Gate): Promise<void> {
    while (!stopping()) {
      if (this.#lost) throw this.#lost;
      const rung = this.#bell.next;
      if (this.#hasSlot && this.#isOfOnePast) {
        if (await this.#applyNext(gate, stopping)) continue;
        if (await this.#passOver(gate)) continue;
        this.#settle(gate);
      }
      await rung;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#ticker);
    await Promise.all([this.#stream.close(), this.#parting]);
    await endSessions(this.#sessions);
  }

  async #applyNext(gate: Gate, stopping: () => boolean): Promise<boolean> {
    const batch = this.#nextBatch(gate);
    if (!batch && !this.applier.hasToCommit) return false;
    if (batch) this.#applying = [...this.#applying, ...batch.segments];
    const isFollowed = (): boolean => {
      if (stopping() || this.#lost !== undefined) return false;
      // However small it is: it would have to wait for the answer to the COMMIT that it can go with.
      this.#takeAhead(gate);
      return this.#isReady(gate);
    };
    const work = batch ? this.applier.apply(batch, isFollowed) : this.applier.commit();
    let isApplied = false;
    const applied = this.#sessions.watch.during(work).finally(() => {
      isApplied = true;
      this.#bell.ring();
    });
    // What it fails by is thrown below, once nothing is being prepared any more.
    applied.catch(() => undefined);
    while (!isApplied) {
      const rung = this.#bell.next;
      // Folded and written down while the target is busy with this one; a small one can wait to grow.
      if (this.inbox.hasFullBatch) this.#takeAhead(gate);
      if (this.#ahead) this.applier.stageAhead(this.#ahead.batch);
      await rung;
    }
    await applied;
    this.takenOfTransaction = this.applier.uncommittedChanges;
    return true;
  }

  #done(segments: readonly Segment[]): void {
    this.#applying = this.#applying.slice(segments.length);
    this.inbox.release(segments);
    if (this.inbox.bytes <= inFlightBytes - batchLimits.bytes / 2) this.#stream.resume();
    this.#confirm();
  }

  /** The next batch can be sent as it is. */
  #isReady(gate: Gate): boolean {
    return this.#ahead?.batch.built !== undefined && this.#ahead.bound === gate.bound;
  }

  /** The batch that was prepared, if the gate still stands as it stood then. */
  #nextBatch(gate: Gate): Batch | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead && ahead.bound === gate.bound) return ahead.batch;
    if (ahead) this.inbox.giveBack(ahead.batch.segments);
    const segments = this.inbox.take(gate.bound);
    return segments && { segments };
  }

  /** Folds and writes the next batch down. */
  #takeAhead(gate: Gate): void {
    if (this.#ahead) return;
    const segments = this.inbox.take(gate.bound);
    if (segments) this.#ahead = { batch: this.applier.prepare(segments), bound: gate.bound };
  }

  /** Only with nothing received that is not applied: the position heard covers what is still on its way here. */
  async #passOver(gate: Gate): Promise<boolean> {
    if (!this.inbox.empty || this.applier.inTransaction || gate.bound === 0n) return false;
    if (this.#receivedLsn <= this.applier.throughLsn) return false;
    const due = gate.awaited !== undefined || Date.now() - this.#passedOverAt >= passOverEveryMs;
    if (!due) return false;
    this.#passedOverAt = Date.now();
    await this.#sessions.watch.during(this.applier.passOver(this.#receivedLsn));
    this.#confirm();
    return true;
  }

  #confirm(): void {
    if (this.#isOfOnePast) this.#stream.confirm(this.applier.throughLsn);
  }

  get #isOfOnePast(): boolean {
    return this.#past?.isKnown ?? true;
  }

  #endPast(): void {
    if (this.#isOfOnePast) return;
    this.#past?.ends();
    this.#confirm();
  }

  #settle(gate: Gate): void {
    const { bound } = gate;
    if (bound === undefined || this.applier.inTransaction) return;
    const reached = bound === 0n || this.applier.throughLsn >= bound || this.inbox.hasTakenAllBefore(bound);
    if (reached) gate.reached(this.applier.commitLsn);
    // It may have been paused before the gate was closed; only this transaction's end tells whether it lies before.
    else if (this.inbox.headIsOfUnknownPlace) this.#stream.resume();
  }

  #receive(message: StreamMessage, messageBytes: number, gate: Gate): void {
    if (message.kind === "begin") {
      // The server skips by the same rule; this holds if it should ever start earlier.
      const { commitLsn } = message.transaction;
      this.#skipping = commitLsn !== undefined && commitLsn < this.#startedAfter;
      if (!this.#skipping) this.#endPast();
    }
    if (this.#skipping) {
      this.#past?.passes(message);
      return;
    }
    this.inbox.receive(message, messageBytes);
    if (message.kind === "commit") this.#receivedLsn = message.endLsn;
    // Whether a transaction lies before a closed gate may only be known from its end: then that has to come in.
    const mustGoOn = gate.bound !== undefined && this.inbox.headIsOfUnknownPlace;
    if (this.inbox.bytes > inFlightBytes && !mustGoOn) this.#stream.pause();
    this.#bell.ring();
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
    const look = () => verifySlotPlace(this.#sessions.source, this.#slot, () => this.applier.throughLsn);
    const begin = async (): Promise<void> => {
      this.#past?.begins(await look());
      this.#hasSlot = true;
      this.#confirm();
      this.#bell.ring();
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
    if (this.inbox.receiving) return;
    if (end >= this.#startedAfter) this.#endPast();
    if (end <= this.#receivedLsn) return;
    this.#receivedLsn = end;
    this.#bell.ring();
  }

  #lose(error: Error): void {
    this.#lost ??= orWalGone(this.#slot, error);
    this.#bell.ring();
  }

  #tick(gate: Gate): void {
    if (gate.awaited !== undefined) {
      this.#stream.ping();
      if (this.#nudgedFor !== gate.awaited) this.#ask(nudge(this.#sessions.source));
      this.#nudgedFor = gate.awaited;
    }
    if (this.#ticks++ % ticksPerQuestion === 0 && this.#askedAt === undefined) this.#ask(this.clock.ask());
    const silentMs = Date.now() - (this.#askedAt ?? Date.now());
    if (silentMs > this.#silenceLimitMs)
      this.#lose(new Unreachable(`the source has not answered for ${Math.round(silentMs / 1000)} s`));
    this.#bell.ring();
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
    const stuck = new Unreachable(
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
