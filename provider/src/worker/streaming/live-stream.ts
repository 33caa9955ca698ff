import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { FollowOptions } from "../../cdc/follow-options.js";
import type { Follower } from "../../cdc/follower.js";
import { ConcurrentChangeError, RetryableError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { type EndedFollower, Followers } from "../followers/followers.js";
import type { StreamState } from "../followers/stream-state.js";
import { delay } from "../../async/delay.js";
import { withTimeout } from "../../async/with-timeout.js";
import { log } from "../../log.js";
import { type SyncResult, SchemaSynchronizer } from "../schema-sync/schema-synchronizer.js";
import { schemaFingerprint } from "../schema-diff/schema-fingerprint.js";
import { readSourceVersion } from "../schema-diff/source-version.js";
import { PublicationAltered, readTableStorage, sumOfFiles, withPresentFiles } from "../schema-diff/schema-baseline.js";
import { pausedCheckMs, ManualDdlGate } from "../schema-sync/manual-ddl-gate.js";
import type { StreamRecord } from "../followers/stream-record.js";
import { isSchemaError, schemaErrorTable } from "../followers/schema-error.js";
import { TableResync } from "../schema-sync/table-resync.js";
import { SerialQueue } from "../../async/serial-queue.js";
import type { StreamLoanRecord } from "../../store/streams/lent-streams.js";
import { NamesTaken } from "../schema-sync/taken-names.js";
import { SchemaCheckBackoff } from "./schema-check-backoff.js";
import { StreamLoan } from "./stream-loan.js";

/** What the followers of one stream have different. */
export type FollowChanges = Pick<FollowOptions, "generation"> & Partial<FollowOptions>;

const compareSchemaEveryMs = 3000;
/** A target that does not answer must not delay the end. The next worker takes the stream over by its generation. */
const endLoanMs = 5000;
/** How often a cutover or comparison reports that it waits for schema changes. */
const reportWaitEveryMs = 30_000;
/** How often schema changes are applied again if the source's schema is altered meanwhile. */
const maxSyncAttempts = 10;
/** The same before a cutover, which checks the schema again at its LSN. */
const maxSyncAttemptsBeforeCutover = 3;

const delayText = (error: unknown): string => `schema changes of the source are not applied yet: ${messageOf(error)}`;

function schemaCheckText(error: unknown): string {
  if (error instanceof RetryableError) return delayText(error);
  return error instanceof NamesTaken
    ? messageOf(error)
    : `the source's schema could not be compared: ${messageOf(error)}`;
}

/**
 * The stream of one database, with its successive followers. Changes of the source's schema are applied to the target by the rule table.
 * Some pause the stream until the operator has run a statement.
 */
export class LiveStream {
  /** Rejects when the stream has failed and is not restarted. */
  readonly failed: Promise<never>;
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #loan: StreamLoan;
  readonly #joins: TableResync;
  readonly #pause: ManualDdlGate;
  readonly #carrier: SchemaSynchronizer;
  /** Serializes changes of the target's schema, comparisons and the cutover. */
  readonly #turns = new SerialQueue();
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;
  #hasFailed = false;
  readonly #schemaCheckBackoff = new SchemaCheckBackoff();
  /** {@link sumOfFiles} at the last comparison. */
  #files: string | undefined;
  /** What was last reported about a lock that schema changes wait for. */
  #reportedDelay: string | undefined;
  /** The error after which the follower was last restarted. */
  #revivedFrom: string | undefined;
  /** Whether the worker that borrows the stream reports changes that the target has not accepted yet. */
  #isBorrowerHeldUp = false;
  /** From the beginning of a cutover on, unless it fails. */
  #isCuttingOver = false;

  /** @param follow starts a follower of this database */
  constructor(record: StreamRecord, follow: (changes: FollowChanges) => Follower) {
    this.#record = record;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // An unhandled rejection would end the process.
    this.failed.catch(() => (this.#hasFailed = true));
    const loan = (this.#loan = new StreamLoan(record, () => this.#followers));
    this.#followers = new Followers({
      follow: (changes) => follow({ generation: loan.generation, ...changes }),
      skipped: () => record.skipped,
      onEnded: (ended) => this.#queueRevival(ended),
    });
    this.#joins = new TableResync(record, this.#followers, this.#stopped.signal);
    this.#pause = new ManualDdlGate(record, this.#followers, this.#joins, this.#stopped.signal);
    this.#carrier = new SchemaSynchronizer(record, this.#followers, this.#joins, this.#pause);
    this.#watching = this.#watch();
  }

  /** Whether {@link failed} has rejected. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether there are changes that the target has not accepted yet. */
  get isHeldUp(): boolean {
    if (this.#loan.borrower !== undefined) return this.#isBorrowerHeldUp;
    return this.#followers.current.status().pendingTransactions > 0;
  }

  /** Whether the stream was neither stopped nor has failed. */
  get isRunning(): boolean {
    return !this.#isStopped() && !this.#hasFailed;
  }

  /** Name of the worker to which the stream is lent; undefined if this worker applies it. */
  get borrower(): string | undefined {
    return this.#loan.borrower;
  }

  /** Lends the stream in its turn, unless it is held, paused or cut over, or tables join it. */
  lend(request: StreamLoanRecord): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#mayLend()) await this.#loan.lend(request);
    });
  }

  /** Receives what the worker reports to which the stream is lent. */
  noteLoan({ pendingTransactions }: StreamLoanRecord): void {
    this.#isBorrowerHeldUp = pendingTransactions > 0;
  }

  /** Applies the stream in this worker again. */
  takeBack(why: string): Promise<void> {
    return this.#turns.run(async () => {
      if (!this.#isStopped()) await this.#loan.takeBack(why);
    });
  }

  #mayLend(): boolean {
    const isStreaming = this.isRunning && this.#followers.current.status().state === "streaming";
    const isJoining = Object.keys(this.#record.following.joining ?? {}).length > 0;
    return isStreaming && !isJoining && !this.#isCuttingOver && !this.#pause.refusal && this.#carrier.isSettled;
  }

  get following(): StreamState {
    return this.#record.following;
  }

  /**
   * Applies the source's schema changes, then runs without other users of the stream.
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
   * Like {@link exclusively}, but also applies changes of objects other than tables, such as functions and views.
   *
   * @param run gets the result of {@link readSourceVersion} before: later changes have not been applied
   * @param stopWriters called if applications lock, alter or truncate tables so often that they cannot be copied
   * @throws RefusedError naming the objects that the target lacks
   */
  exclusivelyWithAll<Result>(
    run: (follower: Follower, sourceVersion: string) => Promise<Result>,
    stopWriters?: () => Promise<void>,
  ): Promise<Result> {
    return this.#unlessPaused(async () => {
      this.#isCuttingOver = true;
      try {
        const version = await this.#carryAllOfOneVersion(stopWriters);
        return await this.#withSchemaOf((follower) => run(follower, version), stopWriters);
      } catch (error) {
        this.#isCuttingOver = false;
        throw error;
      }
    });
  }

  /**
   * Checks the publications once. Later changes of them end the stream.
   *
   * @throws PublicationAltered when they were dropped or altered while no worker ran
   */
  async requirePublications(): Promise<void> {
    try {
      await this.#readSource((source) => this.#joins.requirePublications(source));
    } catch (error) {
      // The next comparison of the schemas repeats the check after any other error.
      if (error instanceof PublicationAltered) throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#followers.current.stop();
    await this.#watching;
    await this.#turns.idle();
    await withTimeout(this.#endLoan(), endLoanMs);
    await this.#followers.current.stop();
  }

  async #endLoan(): Promise<void> {
    try {
      await this.#loan.close();
    } catch (error) {
      log.warn(`the stream of ${this.#record.database} could not be taken back: ${messageOf(error)}`);
    }
  }

  /** Repeats if the source was altered meanwhile. The worker also alters it, when it publishes new tables. */
  async #carryAllOfOneVersion(stopWriters?: () => Promise<void>): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const version = await this.#readSource(readSourceVersion);
      await this.#carrier.syncAll(stopWriters);
      await this.#carrier.complete();
      if (attempt === maxSyncAttemptsBeforeCutover || (await this.#readSource(readSourceVersion)) === version)
        return version;
    }
  }

  /** Runs again if the follower meets a new table definition that was not applied to the target yet. */
  async #withSchemaOf<Result>(
    run: (follower: Follower) => Promise<Result>,
    stopWriters?: () => Promise<void>,
  ): Promise<Result> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await run(this.#followers.current);
      } catch (error) {
        if (schemaErrorTable(error) === undefined) throw error;
        const isReplaced = await this.#joins.skipReplacedDefinition(error);
        if (!isFirst && !isReplaced) throw error;
        // The follower has ended. The next one skips the tables to copy, so it reaches the other schema changes.
        await this.#followers.restart();
        await this.#carrier.syncAll(stopWriters);
        await this.#followers.restart();
      }
    }
  }

  async #unlessPaused<Result>(run: () => Promise<Result>): Promise<Result> {
    // The operator may just have run the statement.
    if (this.#pause.refusal) await sleep(2 * pausedCheckMs);
    if (this.#pause.refusal) throw this.#pause.refusal;
    return this.#inTurnUnlessPaused(run);
  }

  /** Does not wait for its turn while the stream is paused for the operator, which may take days. */
  async #inTurnUnlessPaused<Result>(run: () => Promise<Result>): Promise<Result> {
    const retriesExhausted = new AbortController();
    const begun = new AbortController();
    const result = this.#turns.run(async () => {
      retriesExhausted.signal.throwIfAborted();
      begun.abort();
      await this.#loan.takeBack("this worker compares, or cuts over");
      return run();
    });
    // An unhandled rejection would end the process.
    result.catch(() => undefined);
    let reportedAt = Date.now();
    while (!this.#pause.refusal && !begun.signal.aborted) {
      if (Date.now() - reportedAt >= reportWaitEveryMs) {
        reportedAt = Date.now();
        await this.#record.report(this.#waitText());
      }
      await delay(pausedCheckMs, begun.signal);
    }
    const { refusal } = this.#pause;
    if (!refusal || begun.signal.aborted) return result;
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

  #queueRevival(ended: EndedFollower): void {
    if (this.#isStopped()) return;
    void this.#turns.run(() => this.#revive(ended)).catch(this.#fail);
  }

  /** Starts another follower after a change that the target refused, if the schema was the cause and is now corrected. */
  async #revive({ error, isCurrent, isTargetAltered }: EndedFollower): Promise<void> {
    if (this.#isStopped() || !isCurrent()) return;
    if (!isSchemaError(error)) throw error;
    const carried = await this.#carryFor(error);
    if (carried !== "delayed") {
      const isAgain = messageOf(error) === this.#revivedFrom;
      this.#revivedFrom = messageOf(error);
      const isHelped = carried === "changed" || isTargetAltered();
      if (!isHelped && (carried === "same" || isAgain)) throw error;
    }
    if (isCurrent()) this.#followers.start();
  }

  /** Returns `delayed` if a lock, a concurrent change, a taken name or an unreachable server delays the schema changes. */
  async #carryFor(error: unknown): Promise<SyncResult | "delayed"> {
    try {
      if (await this.#joins.skipReplacedDefinition(error)) {
        // The next comparison copies the table. Until then the stream skips it.
        this.#carrier.outdate();
        return "changed";
      }
      const carried = await this.#carryUnaltered(schemaErrorTable(error));
      this.#reportedDelay = undefined;
      return carried;
    } catch (held) {
      // Another role of the target must not be able to end the stream.
      const isTaken = held instanceof NamesTaken;
      if (!(isTaken || held instanceof RetryableError || isConnectionLoss(held))) throw held;
      this.#carrier.outdate();
      const text = delayText(held);
      if (text !== this.#reportedDelay) await this.#record.report(text, "warning");
      this.#reportedDelay = text;
      // After a wait for a lock, no pause is needed. The other causes fail at once, and would repeat many times per second.
      if (isTaken || held instanceof ConcurrentChangeError) await delay(compareSchemaEveryMs, this.#stopped.signal);
      return "delayed";
    }
  }

  /** Retries after an error if the source's schema was altered meanwhile, because it was read at two moments. */
  async #carryUnaltered(table: string | undefined): Promise<SyncResult> {
    for (let attempt = 1; ; attempt++) {
      const before = await this.#readSource(schemaFingerprint);
      try {
        return await this.#carrier.sync("untilResolved", table);
      } catch (error) {
        const isOther = error instanceof RetryableError || isConnectionLoss(error);
        const isFinal = isOther || this.#isStopped() || attempt === maxSyncAttempts;
        if (isFinal || (await this.#readSource(schemaFingerprint)) === before) throw error;
        // Without the remedy, because the next attempt may succeed.
        const [what] = messageOf(error).split("\n");
        await this.#record.report(
          `the source's schema was altered while its changes were applied, so they are compared again: ${what}`,
        );
        this.#carrier.outdate();
      }
    }
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped()) {
      await delay(compareSchemaEveryMs, this.#stopped.signal);
      if (this.#isStopped()) return;
      await this.#turns.run(() => this.#look());
    }
  }

  async #look(): Promise<void> {
    let changed: string | undefined;
    try {
      changed = await this.#changedSchema();
      if (changed !== undefined && this.#schemaCheckBackoff.shouldSkip(changed)) return;
      if (changed !== undefined) {
        // Until the changes are applied, the stream is not lent again.
        this.#carrier.outdate();
        await this.#loan.takeBack("the source's schema has changed");
        await this.#carrier.sync("untilResolved");
      }
      if (this.#carrier.refusal) throw this.#carrier.refusal;
      this.#schemaCheckBackoff.forget();
    } catch (error) {
      if (this.#isStopped()) return;
      if (error instanceof PublicationAltered) {
        this.#fail(error);
        return;
      }
      // The stream continues. A change that needs the new schema stops it with a message.
      const text = schemaCheckText(error);
      if (this.#schemaCheckBackoff.note(changed ?? "", text))
        await this.#record.report(text, "warning").catch(this.#fail);
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
