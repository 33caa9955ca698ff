import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { Follower } from "../../cdc/follower.js";
import { ConcurrentChangeError, RetryableError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { type EndedFollower, Followers, type StartFollower } from "../followers/followers.js";
import type { StreamState } from "../followers/stream-state.js";
import { delay } from "../../async/delay.js";
import { type SyncResult, SchemaSynchronizer } from "../schema-sync/schema-synchronizer.js";
import { schemaFingerprint } from "../schema-diff/schema-fingerprint.js";
import { readSourceVersion } from "../schema-diff/source-version.js";
import { PublicationAltered, readTableStorage, sumOfFiles, withPresentFiles } from "../schema-diff/schema-baseline.js";
import { pausedCheckMs, ManualDdlGate } from "../schema-sync/manual-ddl-gate.js";
import { StreamRecord } from "../followers/stream-record.js";
import { isSchemaError, schemaErrorTable } from "../followers/schema-error.js";
import { TableResync } from "../schema-sync/table-resync.js";
import { SerialQueue } from "../../async/serial-queue.js";
import { SchemaCheckBackoff } from "../schema-sync/schema-check-backoff.js";
import type { Work } from "../context/work.js";

const lookEveryMs = 3000;
/** How often a cutover or comparison reports that it waits for schema changes. */
const reportWaitEveryMs = 30_000;
/** Of carrying over what the stream cannot go on without, while the source's schema is altered again and again. */
const attemptsAtMost = 10;
/** Before a cutover, which looks once more at its point. */
const carriedAtMost = 3;

const heldUpText = (error: unknown): string =>
  `what has become of the source's schema waits to be carried over: ${messageOf(error)}`;

/**
 * The stream of one database, from follower to follower: where the source's schema changes on the way, what was added is
 * carried over, and what cannot be told from the catalogue stops the stream until somebody has run a statement.
 */
export class LiveStream {
  /** Rejects when the stream has failed for good. */
  readonly failed: Promise<never>;
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #pause: ManualDdlGate;
  readonly #carrier: SchemaSynchronizer;
  /** Whoever changes the target, or needs the stream to himself. */
  readonly #turns = new SerialQueue();
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;
  #hasFailed = false;
  readonly #schemaCheckBackoff = new SchemaCheckBackoff();
  /** {@link sumOfFiles} at the last look. */
  #files: string | undefined;
  /** What was told last of the lock that a stuck stream's schema waits for. */
  #heldUpBy: string | undefined;
  /** What the follower failed by last, of which it was started again. */
  #revivedFrom: string | undefined;

  /** @param follow starts a follower of this database */
  constructor(work: Work, database: string, following: StreamState, follow: StartFollower) {
    const record = new StreamRecord(work, database, following);
    this.#record = record;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // For those who race it; one who does not must not lose the process by it.
    this.failed.catch(() => (this.#hasFailed = true));
    this.#followers = new Followers({
      follow,
      skipped: () => record.skipped,
      onEnded: (ended) => this.#takeTurnToRevive(ended),
    });
    this.#joins = new TableResync(record, this.#followers, this.#stopped.signal);
    this.#pause = new ManualDdlGate(record, this.#followers, this.#joins, this.#stopped.signal);
    this.#carrier = new SchemaSynchronizer(record, this.#followers, this.#joins, this.#pause);
    this.#watching = this.#watch();
  }

  /** Whether {@link failed} has rejected: no other follower will come. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether changes have come that the target has not taken. */
  get isHeldUp(): boolean {
    return this.#followers.current.status().pendingTransactions > 0;
  }

  get following(): StreamState {
    return this.#record.following;
  }

  /**
   * Runs with the stream to itself, the source's schema carried over.
   *
   * @throws RefusedError when the stream is paused, naming what has to be run on the target
   */
  exclusively<Result>(run: (follower: Follower) => Promise<Result>): Promise<Result> {
    return this.#unlessPaused(async () => {
      await this.#carrier.syncAll();
      return this.#withSchemaOf(run);
    });
  }

  /**
   * As {@link exclusively}, with all of the schema, also what no change of a table tells of, as new functions and views.
   *
   * @param run is told what {@link readSourceVersion} had read before: what is altered later has not been carried over
   * @throws RefusedError naming what the target still lacks
   */
  exclusivelyWithAll<Result>(run: (follower: Follower, sourceVersion: string) => Promise<Result>): Promise<Result> {
    return this.#unlessPaused(async () => {
      const version = await this.#carryAllOfOneVersion();
      return this.#withSchemaOf((follower) => run(follower, version));
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#followers.current.stop();
    await this.#watching;
    await this.#turns.idle();
    await this.#followers.current.stop();
  }

  /** Another one than before where the source was altered meanwhile, by ourselves too: what is new there is published. */
  async #carryAllOfOneVersion(): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const version = await this.#readSource(readSourceVersion);
      await this.#carrier.syncAll();
      await this.#carrier.complete();
      if (attempt === carriedAtMost || (await this.#readSource(readSourceVersion)) === version) return version;
    }
  }

  /** What runs may come to a table in its new shape before that was carried over, and end by it: it is run again then. */
  async #withSchemaOf<Result>(run: (follower: Follower) => Promise<Result>): Promise<Result> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await run(this.#followers.current);
      } catch (error) {
        if (schemaErrorTable(error) === undefined) throw error;
        const isOutlived = await this.#joins.outlives(error);
        if (!isFirst && !isOutlived) throw error;
        // It has ended; one that leaves out what is to be copied comes to what else is to be carried over.
        await this.#followers.restart();
        await this.#carrier.syncAll();
        await this.#followers.restart();
      }
    }
  }

  async #unlessPaused<Result>(run: () => Promise<Result>): Promise<Result> {
    // The statement may have been run just now.
    if (this.#pause.refusal) await sleep(2 * pausedCheckMs);
    if (this.#pause.refusal) throw this.#pause.refusal;
    return this.#inTurnUnlessPaused(run);
  }

  /** Whoever has the turn may be waiting for a statement to be run, for as long as that takes. */
  async #inTurnUnlessPaused<Result>(run: () => Promise<Result>): Promise<Result> {
    const retriesExhausted = new AbortController();
    const come = new AbortController();
    const result = this.#turns.run(() => {
      retriesExhausted.signal.throwIfAborted();
      come.abort();
      return run();
    });
    // For those who await it; one who gives up does not.
    result.catch(() => undefined);
    let reportedAt = Date.now();
    while (!this.#pause.refusal && !come.signal.aborted) {
      await delay(pausedCheckMs, come.signal);
      if (come.signal.aborted || Date.now() - reportedAt < reportWaitEveryMs) continue;
      reportedAt = Date.now();
      await this.#record.say(this.#waitText());
    }
    const { refusal } = this.#pause;
    if (!refusal || come.signal.aborted) return result;
    retriesExhausted.abort();
    throw refusal;
  }

  #waitText(): string {
    const joining = Object.keys(this.#record.following.joining ?? {});
    const copied = joining.length === 0 ? "" : `; it copies ${joining.join(", ")}`;
    return `waiting until the schema changes of the source are applied to the target${copied}`;
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  #takeTurnToRevive(ended: EndedFollower): void {
    if (this.#isStopped()) return;
    void this.#turns.run(() => this.#revive(ended)).catch(this.#fail);
  }

  /**
   * Goes on after a change that the target could not take, when the schema says why and that can be put right, or was while
   * the follower still went by the older one.
   */
  async #revive({ error, isCurrent, isTargetAltered }: EndedFollower): Promise<void> {
    if (this.#isStopped() || !isCurrent()) return;
    if (!isSchemaError(error)) throw error;
    const carried = await this.#carryFor(error);
    if (carried !== "heldUp") {
      const isAgain = messageOf(error) === this.#revivedFrom;
      this.#revivedFrom = messageOf(error);
      const isHelped = carried === "changed" || isTargetAltered();
      if (!isHelped && (carried === "same" || isAgain)) throw error;
    }
    if (isCurrent()) this.#followers.start();
  }

  /** `heldUp` by a lock, or by a server that is away, for which the follower is the one that waits, or gives up. */
  async #carryFor(error: unknown): Promise<SyncResult | "heldUp"> {
    try {
      if (await this.#joins.outlives(error)) {
        // The next look has it copied; until then the stream goes on without it.
        this.#carrier.outdate();
        return "changed";
      }
      const carried = await this.#carryUnaltered(schemaErrorTable(error));
      this.#heldUpBy = undefined;
      return carried;
    } catch (held) {
      if (!(held instanceof RetryableError || isConnectionLoss(held))) throw held;
      this.#carrier.outdate();
      const text = heldUpText(held);
      if (text !== this.#heldUpBy) await this.#record.say(text, "warning");
      this.#heldUpBy = text;
      // A lock was waited for. Concurrent changes may end at once, and would then be met many times per second.
      if (held instanceof ConcurrentChangeError) await delay(lookEveryMs, this.#stopped.signal);
      return "heldUp";
    }
  }

  /** Where the source's schema was altered meanwhile, what it failed by may be that this was read at two moments. */
  async #carryUnaltered(table: string | undefined): Promise<SyncResult> {
    for (let attempt = 1; ; attempt++) {
      const before = await this.#readSource(schemaFingerprint);
      try {
        return await this.#carrier.sync("untilResolved", table);
      } catch (error) {
        const isOther = error instanceof RetryableError || isConnectionLoss(error);
        const isFinal = isOther || this.#isStopped() || attempt === attemptsAtMost;
        if (isFinal || (await this.#readSource(schemaFingerprint)) === before) throw error;
        // Without its remedy, which is for what stays so.
        const [what] = messageOf(error).split("\n");
        await this.#record.say(
          `the source's schema was altered while it was carried over, so that is begun again: ${what}`,
        );
        this.#carrier.outdate();
      }
    }
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped()) {
      await delay(lookEveryMs, this.#stopped.signal);
      if (this.#isStopped()) return;
      await this.#turns.run(() => this.#look());
    }
  }

  async #look(): Promise<void> {
    let changed: string | undefined;
    try {
      changed = await this.#changedSchema();
      if (changed !== undefined && this.#schemaCheckBackoff.shouldSkip(changed)) return;
      if (changed !== undefined) await this.#carrier.sync("untilResolved");
      this.#schemaCheckBackoff.forget();
    } catch (error) {
      if (this.#isStopped()) return;
      if (error instanceof PublicationAltered) {
        this.#fail(error);
        return;
      }
      // The stream itself goes on; what it cannot take without this stops it, and tells.
      const text =
        error instanceof RetryableError
          ? heldUpText(error)
          : `the source's schema could not be compared: ${messageOf(error)}`;
      if (this.#schemaCheckBackoff.note(changed ?? "", text)) await this.#record.say(text, "warning").catch(this.#fail);
    }
  }

  #changedSchema(): Promise<string | undefined> {
    return this.#readSource(async (source) => {
      await this.#keepFiles(source);
      return this.#carrier.changedSchema(source);
    });
  }

  async #readSource<Result>(read: (source: Client) => Promise<Result>): Promise<Result> {
    const { work, database } = this.#record;
    const source = await connect(work.source, { database, purpose: "watch schema" });
    try {
      return await read(source);
    } finally {
      await source.end();
    }
  }

  async #keepFiles(source: Client): Promise<void> {
    const files = await sumOfFiles(source);
    if (files === this.#files) return;
    const { mark } = this.#record.following;
    if (mark?.forms) {
      const forms = withPresentFiles(mark.forms, await readTableStorage(source));
      await this.#record.keep({ mark: { ...mark, forms } });
    }
    this.#files = files;
  }
}
