import type { Client } from "pg";
import type { Bell } from "../bell.js";
import { EngineFault, TakenOver, Unreachable, asError } from "../errors.js";
import { connect, watchSession } from "../postgres/connect.js";
import type { Lsn } from "../postgres/lsn.js";
import { serverVersion } from "../postgres/server-version.js";
import { Applier, type Batch } from "./applier.js";
import {
  type BacklogLimits,
  BacklogReader,
  type BacklogSession,
  backlogLimits,
  movesSlotsSoundly,
} from "./backlog-reader.js";
import type { Decoder, Relation, StreamMessage, Transaction } from "./change.js";
import type { ChangeStream, ChangeStreamHandlers } from "./change-stream.js";
import type { FollowOptions } from "./follow.js";
import type { Gate } from "./gate.js";
import { Inbox, type Segment } from "./inbox.js";
import { SourceClock } from "./lag.js";
import { nudge } from "./nudge.js";
import { migrationParts, type Parts } from "./parts.js";
import { PgOutputDecoder, pgOutputOptions } from "./pgoutput.js";
import { type Progress, readProgress, takeOverProgress } from "./progress.js";
import { endHolder } from "./drop-slot.js";
import { SharedPast } from "./shared-past.js";
import { type StreamSlot, verifySlotIdentity, verifySlotPlace } from "./slot-identity.js";
import { TestDecodingDecoder, testDecodingOptions } from "./test-decoding.js";
import { withoutAges } from "../postgres/blocking-sessions.js";
import { qualify } from "../postgres/identifiers.js";
import { abandon, whatBroke } from "../postgres/session.js";
import { listTables } from "../postgres/tables.js";
import { openTargetSession } from "./target-session.js";
import type { OnBlocked, SessionWatch } from "../postgres/session-watch.js";
import { publishesGenerated } from "./publication.js";
import { type ValueForm, valueFormOf } from "./value-form.js";
import { WalSender, type WalSenderHandlers } from "./walsender.js";

const batchLimits = { changes: 20_000, bytes: 8 << 20, tables: 1000 };
/** Beyond it the socket is not read: one batch at the target, one that is prepared, one that is received. */
const inFlightBytes = 3 * batchLimits.bytes;
/** How often an idle source is let go on, at a row's update on the target each time. */
const passOverEveryMs = 5000;
const tickMs = 200;
const ticksPerQuestion = 5;
const defaultSilenceLimitSeconds = 45;
/** Looks at a silent target within the limit: one to see it wait, one to see it still wait. */
const looksWithinSilence = 3;
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
  readonly #sessions: Sessions;
  #stream: ChangeStream;
  readonly #decoder: Decoder;
  readonly #bell: Bell;
  readonly #startedAfter: Lsn;
  /** Undefined with test_decoding, which would send again what cannot be told from the rest before its end. */
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
   */
  static async open(options: FollowOptions, bell: Bell, gate: Gate, takeOver: boolean): Promise<Pipeline> {
    let saidBlocked: string | undefined;
    const sessions = await openSessions(options, (by, looks) => {
      if (looks >= looksAtLock) gate.heldUp(by, partsOf(options));
      // Its age, which it ends with, is another one each time.
      const who = withoutAges(by);
      if (who !== saidBlocked) options.onEvent?.({ kind: "blocked", by });
      saidBlocked = who;
    });
    const late = setTimeout(() => {
      const stuck = new Unreachable(
        `a server has not answered for ${startLimitMs / 1000} s when the stream was to start`,
      );
      for (const session of [sessions.source, sessions.stream, sessions.target]) abandon(session, stuck);
    }, startLimitMs);
    try {
      return await start(sessions, options, bell, gate, takeOver);
    } catch (error) {
      await endSessions(sessions);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  constructor(
    sessions: Sessions,
    progress: Progress,
    clock: SourceClock,
    form: ValueForm,
    decoder: Decoder,
    backlog: BacklogSession | undefined,
    options: FollowOptions,
    bell: Bell,
    gate: Gate,
  ) {
    this.#sessions = sessions;
    const { migration, generation, onEvent } = options;
    this.applier = new Applier(sessions.target, {
      ...{ migration, generation, progress, form, parts: options.parts },
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
    const { publications, plugin, silenceLimitSeconds } = options;
    const slot: StreamSlot = { name: options.slot, parts: partsOf(options) };
    this.#past = plugin === "test_decoding" ? undefined : new SharedPast(progress, slot);
    this.#silenceLimitMs = 1000 * (silenceLimitSeconds ?? defaultSilenceLimitSeconds);
    const pluginOptions = plugin === "test_decoding" ? testDecodingOptions : pgOutputOptions(publications, form);
    const handlers: ChangeStreamHandlers = {
      onData: (bytes, start, end, position) => {
        const message = this.#wanted(this.#decoder.decode(bytes, start, end, position));
        this.#receive(message, end - start, gate);
      },
      onKeepalive: (end) => this.#hear(end),
      onLost: (error) => this.#lose(error),
      isBusy: () => this.#applying.length > 0,
      silenceLimitMs: this.#silenceLimitMs,
    };
    const stream = (readTo: Lsn): ChangeStream => {
      this.#hasSlot = false;
      const looks = { ...handlers, ...this.#lookAt(slot) };
      if (!this.#isOfOnePast) return WalSender.start(sessions.stream, slot.name, readTo, 0n, pluginOptions, looks);
      const { throughLsn } = this.applier;
      const from = readTo > progress.throughLsn ? readTo : progress.throughLsn;
      return WalSender.start(sessions.stream, slot.name, from, throughLsn, pluginOptions, looks);
    };
    this.#stream = backlog
      ? new BacklogReader(backlog, sessions.source, slot, progress.throughLsn, pluginOptions, limitsOf(options), {
          ...handlers,
          // The first is where the copy of the slot was made, which is nobody else's.
          onKeepalive: (end) => {
            this.#past?.begins(end);
            this.#hear(end);
          },
          onRead: (end) => this.#goOnWith(() => stream(end)),
        })
      : stream(0n);
    this.#ticker = setInterval(() => this.#tick(gate), tickMs);
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
    const isFollowed = (): boolean => !stopping() && this.#lost === undefined && this.#isReady(gate);
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
      this.#prepareAhead(gate);
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

  /** Folds and writes the next batch down while the target is busy with this one; a small one can wait to grow. */
  #prepareAhead(gate: Gate): void {
    if (this.#ahead || !this.inbox.hasFullBatch) return;
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
  #lookAt(slot: StreamSlot): Pick<WalSenderHandlers, "onBegun" | "onLost"> {
    let hasBegun = false;
    const look = () => verifySlotPlace(this.#sessions.source, slot, () => this.applier.throughLsn);
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

  #wanted(message: StreamMessage): StreamMessage {
    if (this.#leaveOut.size === 0) return message;
    const isWanted = ({ schema, name }: Relation): boolean => !this.#leaveOut.has(qualify(schema, name));
    switch (message.kind) {
      case "insert":
      case "update":
      case "delete":
        return isWanted(message.relation) ? message : { kind: "ignored" };
      case "truncate": {
        const relations = message.relations.filter(isWanted);
        return relations.length > 0 ? { ...message, relations } : { kind: "ignored" };
      }
      default:
        return message;
    }
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
    this.#lost ??= error;
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

interface Sessions {
  readonly source: Client;
  readonly stream: Client;
  readonly target: Client;
  readonly watch: SessionWatch;
}

async function openSessions(options: FollowOptions, onBlocked: OnBlocked): Promise<Sessions> {
  const { source, target, database, targetDatabase, silenceLimitSeconds } = options;
  const patienceMs = (1000 * (silenceLimitSeconds ?? defaultSilenceLimitSeconds)) / looksWithinSilence;
  const opened: Client[] = [];
  const keep = async (session: Promise<Client>): Promise<Client> => {
    const client = await session;
    opened.push(client);
    return client;
  };
  try {
    const applying = await keep(openTargetSession(target, targetDatabase, options));
    return {
      target: applying,
      watch: await watchSession(target, targetDatabase, applying, { patienceMs, onBlocked }),
      source: await keep(connect(source, { database, purpose: "follow" })),
      stream: await keep(WalSender.session(source, database)),
    };
  } catch (error) {
    for (const client of opened) await client.end();
    throw error;
  }
}

const partsOf = ({ parts = migrationParts }: FollowOptions): Parts => parts;

async function endSessions({ source, stream, target }: Sessions): Promise<void> {
  await Promise.all([source.end(), stream.end(), target.end()]);
}

async function start(
  sessions: Sessions,
  options: FollowOptions,
  bell: Bell,
  gate: Gate,
  takeOver: boolean,
): Promise<Pipeline> {
  const { migration, generation } = options;
  if (!(await readProgress(sessions.target, migration)))
    throw new EngineFault(
      `the row of ${migration} in pgmigration.progress of ${options.targetDatabase} on the ${partsOf(options).receiver} is gone, so nobody knows how far it has come`,
      { remedy: "delete this migration and start it anew; leave the schema pgmigration alone while it is followed" },
    );
  if (takeOver) await takeOverProgress(sessions.target, migration, generation);
  const progress = await readProgress(sessions.target, migration);
  if (progress?.generation !== generation)
    throw new TakenOver(
      `changes of ${migration} are applied by another worker now, of generation ${progress?.generation ?? "-"}`,
    );
  if (progress.slot !== options.slot)
    throw new EngineFault(`progress of ${migration} is that of slot ${progress.slot}, not of ${options.slot}`);
  await verifySlotIdentity(sessions.source, sessions.stream, progress, partsOf(options));
  // A walsender of a worker that died, or that has just been taken over.
  await endHolder(sessions.source, options.slot);
  const version = await serverVersion(sessions.source);
  const clock = new SourceClock(sessions.source, version);
  await clock.ask();
  const { plugin, publications, valueForm } = options;
  const tellsGenerated = await publishesGenerated(sessions.source, publications);
  const form =
    plugin === "test_decoding" || valueForm === "text"
      ? "text"
      : await valueFormOf(sessions.source, version, publications, tellsGenerated);
  const decoder =
    plugin === "test_decoding"
      ? new TestDecodingDecoder(await (options.tables ?? listTables)(sessions.source))
      : new PgOutputDecoder(form, tellsGenerated);
  const backlog = await openBacklog(options, sessions.source, version, Number(clock.walLsn! - progress.throughLsn));
  return new Pipeline(sessions, progress, clock, form, decoder, backlog, options, bell, gate);
}

const limitsOf = ({ backlog }: FollowOptions): BacklogLimits => ({ ...backlogLimits, ...backlog });

/** A session to begin with where the stream is far behind, and the source lets it be read by SQL. */
async function openBacklog(
  options: FollowOptions,
  by: Client,
  version: number,
  bytes: number,
): Promise<BacklogSession | undefined> {
  const { source, database, slot, plugin, onEvent } = options;
  if (plugin === "test_decoding" || !movesSlotsSoundly(version)) return undefined;
  if (bytes <= limitsOf(options).behindBytes) return undefined;
  const session = await BacklogReader.session(source, by, database, slot);
  const refused = typeof session === "string" ? session : undefined;
  onEvent?.({ kind: "backlog", bytes, refused });
  return typeof session === "string" ? undefined : session;
}
