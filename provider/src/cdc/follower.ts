import type { FollowOptions, FollowState, FollowStatus } from "./follow-options.js";
import { delay } from "../async/delay.js";
import { Notifier } from "../async/notifier.js";
import { CanceledError, ContentDiffersError, RefusedError, TakenOverError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { sqlStateOf } from "../postgres/sql-state.js";
import { asFailure, isLogin, isRetryable } from "./model/failure.js";
import { ApplyBarrier } from "./apply-barrier.js";
import { isLockTableFull, LockTableFull, lockTableFull } from "./apply/lock-table-full.js";
import { migrationRoles } from "./model/stream-roles.js";
import { ApplyConnection } from "./apply-connection.js";
import { BacklogIncomplete, ColumnAdded, ShareFailed, TextFormatRequired } from "./model/signals.js";
import type { ValueForm } from "./model/value-form.js";
import { StreamAdvance } from "./stream-advance.js";
import { readProgress } from "./target/progress.js";

const firstRetryMs = 200;
const longestRetryMs = 5000;
/** How long a batch may take after `stop`, before its session is terminated on the server. */
const stopGraceMs = 3000;
const progressEveryMs = 1000;

/**
 * Applies the changes of a slot to the target, each exactly once, until stopped.
 *
 * Call createPublications, createSlot and initProgress first, and copy the database in the slot's snapshot. {@link stop} ends
 * all sessions. Slot, publications and progress remain.
 *
 * @example
 * ```ts
 * const follower = new Follower(options);
 * await follower.drainTo(await currentLsn(session));
 * follower.resume();
 * await follower.stop();
 * ```
 */
export class Follower {
  /**
   * Resolves after {@link stop}. Rejects with TakenOverError, RefusedError, ContentDiffersError or EngineError, or with
   * UnreachableError if a server stays unreachable for too long.
   */
  readonly finished: Promise<void>;
  #options: FollowOptions;
  readonly #notifier = new Notifier();
  readonly #barrier = new ApplyBarrier();
  readonly #reporter: NodeJS.Timeout;
  readonly #stopped = new AbortController();
  #connection: ApplyConnection | undefined;
  #last: FollowStatus = nothingYet;
  #state: FollowState = "connecting";
  #counts = { received: 0, ordered: 0, parallel: 0 };
  #disconnectedAt: number | undefined;
  #wasOpened = false;
  /** The form of the last stream's values. */
  #form: ValueForm = "text";
  /** One session applies everything up to this LSN, because several could not. */
  #singleThroughLsn: Lsn = 0n;
  /** The last event, if it reported a full lock table. */
  #lastLockTableFull: string | undefined;
  readonly #advance = new StreamAdvance();

  constructor(options: FollowOptions) {
    this.#options = {
      ...options,
      onEvent: (event) => {
        if (event.kind === "orderedBatch") this.#counts.ordered++;
        options.onEvent?.(event);
      },
    };
    const stop = (): void => void this.stop();
    if (options.signal?.aborted) this.#stopped.abort();
    options.signal?.addEventListener("abort", stop, { once: true });
    this.#reporter = setInterval(() => options.onProgress?.(this.status()), progressEveryMs);
    this.finished = this.#run().finally(() => {
      clearInterval(this.#reporter);
      options.signal?.removeEventListener("abort", stop);
    });
    // Prevents an unhandled rejection if no caller awaits `finished` or a drain.
    this.finished.catch(() => undefined);
  }

  status(): FollowStatus {
    if (this.#connection) return this.#statusOf(this.#connection);
    const disconnectedSeconds = this.#disconnectedAt === undefined ? 0 : (Date.now() - this.#disconnectedAt) / 1000;
    return {
      ...this.#last,
      state: this.#state,
      latencySeconds: this.#last.latencySeconds + disconnectedSeconds,
      isLagMeasured: false,
    };
  }

  /**
   * Stops applying between two transactions. Resolves when it has stopped. Reading continues until the buffer is full.
   *
   * @throws LockNotAvailableError naming the session whose lock a batch waits for
   */
  async hold(): Promise<void> {
    const held = this.#barrier.hold();
    this.#notifier.notify();
    await held;
  }

  /**
   * Applies every transaction that committed on the source at or before `lsn`, and none after. Resolves when these are durable,
   * also on an idle source. No further transaction is applied until {@link resume}.
   *
   * @throws EngineError if a later transaction has already been applied: call {@link hold} before reading the LSN
   * @throws LockNotAvailableError naming the session whose lock a batch waits for
   * @throws the error with which {@link finished} rejects
   */
  async drainTo(lsn: Lsn): Promise<void> {
    const drained = this.#barrier.closeAfter(lsn);
    this.#notifier.notify();
    await drained;
  }

  /** Applies transactions that committed at or before `lsn` while held, so that a long wait does not cause a long lag. */
  releaseUpTo(lsn: Lsn): void {
    this.#barrier.releaseUpTo(lsn);
    this.#notifier.notify();
  }

  /** Continues after {@link hold} or {@link drainTo}. */
  resume(): void {
    this.#barrier.open();
    this.#notifier.notify();
  }

  /** Ends after the current batch, or terminates it if it takes too long. Resolves when all sessions have ended. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#notifier.notify();
    const timer = setTimeout(() => void this.#terminateBatch(), stopGraceMs);
    // `finished` reports its error to its own callers.
    await this.finished.catch(() => undefined);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    try {
      await this.#untilStopped();
      this.#state = "stopped";
      this.#barrier.fail(new CanceledError("the replication of changes was stopped"));
    } catch (error) {
      this.#state = "failed";
      const { target, targetDatabase } = this.#options;
      const doing = `applying changes to ${targetDatabase} on ${target.host}:${target.port}`;
      const failure = await this.#orTakenOver(asFailure(error, doing));
      this.#barrier.fail(failure);
      throw failure;
    }
  }

  /** Changes that a successor has already applied look like a difference, or are refused. Reports the takeover instead. */
  async #orTakenOver(failure: Error): Promise<Error> {
    if (!(failure instanceof RefusedError || failure instanceof ContentDiffersError)) return failure;
    const { target, targetDatabase, migration, generation } = this.#options;
    try {
      const session = await connect(target, { database: targetDatabase, purpose: "check for a successor" });
      const progress = await readProgress(session, migration).finally(() => session.end());
      if (progress === undefined || progress.generation <= generation) return failure;
      return new TakenOverError(`another worker now applies the changes of ${migration}`, { cause: failure });
    } catch {
      // Without the progress, report the original error.
      return failure;
    }
  }

  async #untilStopped(): Promise<void> {
    const windowMs = (this.#options.reconnectForSeconds ?? 600) * 1000;
    let retryMs = firstRetryMs;
    let lostAt: number | undefined;
    while (!this.#isStopping()) {
      try {
        await this.#once();
      } catch (caught) {
        if (this.#isStopping()) return;
        const error = isLockTableFull(caught) ? await this.#lockTableFull(caught) : caught;
        if (this.#form === "binary" && needsTextForm(error)) {
          this.#options = { ...this.#options, valueForm: "text" };
          continue;
        }
        if (error instanceof ShareFailed) {
          this.#options.onEvent?.({ kind: "parallelRefused", reason: error.message });
          continue;
        }
        // A new connection reads the table again.
        if (error instanceof ColumnAdded) continue;
        if (error instanceof BacklogIncomplete) {
          this.#options = { ...this.#options, backlog: { behindBytes: Infinity } };
          continue;
        }
        // Retries once at each position, so that the loop ends.
        if (this.#advance.isFurther && isStaleType(error)) continue;
        // A login that succeeded before may succeed again: the password is being changed, or a token server is unreachable.
        if (!isRetryable(error) && !(this.#wasOpened && isLogin(error))) throw error;
        if (lostAt === undefined || this.#advance.isProgress) {
          lostAt = Date.now();
          retryMs = firstRetryMs;
        }
        if (Date.now() - lostAt + retryMs > windowMs) throw error;
        this.#state = "reconnecting";
        this.#reportLoss(error, retryMs);
        await delay(retryMs, this.#stopped.signal);
        retryMs = Math.min(2 * retryMs, longestRetryMs);
      }
    }
  }

  async #lockTableFull(cause: unknown): Promise<unknown> {
    const { target, targetDatabase, parts = migrationRoles } = this.#options;
    try {
      return await lockTableFull(target, targetDatabase, parts, cause);
    } catch {
      // The server cannot be asked for its setting. The next attempt reports it.
      return cause;
    }
  }

  #reportLoss(error: unknown, retryInMs: number): void {
    const reason = messageOf(error);
    const isFull = error instanceof LockTableFull;
    if (!isFull) this.#options.onEvent?.({ kind: "connectionLost", reason, retryInMs });
    else if (reason !== this.#lastLockTableFull)
      this.#options.onEvent?.({ kind: "lockTableFull", reason, remedy: error.remedy! });
    this.#lastLockTableFull = isFull ? reason : undefined;
  }

  /** Opens one connection, and applies changes until it is lost. */
  async #once(): Promise<void> {
    this.#advance.begin();
    const connection = await ApplyConnection.open(this.#options, {
      ...{ notifier: this.#notifier, barrier: this.#barrier },
      ...{ stopped: this.#stopped.signal, singleThroughLsn: this.#singleThroughLsn },
    });
    this.#wasOpened = true;
    this.#form = connection.form;
    const openedAt = Date.now();
    this.#connection = connection;
    this.#disconnectedAt = undefined;
    this.#options.onEvent?.({ kind: "streaming", from: formatLsn(connection.applier.appliedThroughLsn) });
    try {
      await connection.run(() => this.#isStopping());
    } finally {
      this.#last = this.#statusOf(connection);
      const hadCaughtUp = connection.pendingTransactions === 0 && Date.now() - openedAt > longestRetryMs;
      const { applier, takenOfTransaction: changes } = connection;
      this.#advance.end({ lsn: applier.appliedThroughLsn, changes }, hadCaughtUp);
      this.#counts.received += connection.buffer.receivedChanges;
      this.#counts.parallel += connection.parallelBatches;
      if (connection.failedThroughLsn > 0n) this.#singleThroughLsn = connection.failedThroughLsn;
      this.#connection = undefined;
      this.#disconnectedAt = Date.now();
      await connection.close();
    }
  }

  #isStopping(): boolean {
    return this.#stopped.signal.aborted;
  }

  #statusOf(connection: ApplyConnection): FollowStatus {
    const { applier, buffer, clock, oldest, receivedLsn, confirmedLsn } = connection;
    const sourceLsn = clock.walLsn;
    const { counts } = applier;
    // Without pending changes the target has everything received. The recorded position of an idle database lags behind that.
    const isIdle = oldest === undefined && connection.pendingTransactions === 0;
    const reachedLsn = isIdle && receivedLsn > applier.appliedThroughLsn ? receivedLsn : applier.appliedThroughLsn;
    return {
      state: this.#barrier.bound === undefined ? "streaming" : "held",
      ...{ receivedLsn, appliedLsn: applier.appliedThroughLsn, confirmedLsn, sourceLsn },
      lagBytes: sourceLsn === undefined ? undefined : Math.max(0, Number(sourceLsn - reachedLsn)),
      latencySeconds: Math.max(
        oldest?.commitTimeMs === undefined ? 0 : clock.secondsSince(oldest.commitTimeMs),
        clock.secondsBehind(receivedLsn),
      ),
      isLagMeasured: clock.isMeasuredAt(receivedLsn),
      ...counts,
      tables: applier.tableCounts,
      pendingTransactions: connection.pendingTransactions,
      incomingChanges: this.#counts.received + buffer.receivedChanges,
      appliedChanges: counts.inserts + counts.updates + counts.deletes + counts.truncates,
      orderedBatches: this.#counts.ordered,
      applySessions: connection.applySessions,
      parallelBatches: this.#counts.parallel + connection.parallelBatches,
    };
  }

  /** Terminates the session that applies a batch, through another session. */
  async #terminateBatch(): Promise<void> {
    const connection = this.#connection;
    if (!connection) return;
    const { target, targetDatabase } = this.#options;
    try {
      const session = await connect(target, { database: targetDatabase, purpose: "end a batch" });
      await session.query("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.unnest($1::int[]) AS pid", [
        connection.targetProcessIds,
      ]);
      await session.end();
    } catch {
      // If the target is unreachable, the session is lost as well.
    }
    // The server's answer may never arrive.
    connection.abandonTarget();
  }
}

/**
 * Whether to retry a failure with values in text form: it succeeds then, or its message contains readable values. Class 22:
 * data exception, for values whose binary form the server does not accept.
 */
const needsTextForm = (error: unknown): boolean =>
  error instanceof TextFormatRequired ||
  error instanceof ContentDiffersError ||
  [error, (error as { cause?: unknown }).cause].some((one) => /^22...$/.test(sqlStateOf(one)));

/**
 * Whether a type may have been recreated under the same name, for example an enum to remove a label. Prepared statements and
 * staging tables of the session still use the old type. The errors are those of another type, of a missing label, or of a
 * missing type (cache lookup failed). A new session uses the new type.
 */
const isStaleType = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) =>
    /^(22P02|42804|42846|42883|XX000)$/.test(sqlStateOf(one)),
  );

const nothingYet: FollowStatus = {
  state: "connecting",
  receivedLsn: undefined,
  appliedLsn: undefined,
  confirmedLsn: undefined,
  sourceLsn: undefined,
  lagBytes: undefined,
  latencySeconds: 0,
  isLagMeasured: false,
  inserts: 0,
  updates: 0,
  deletes: 0,
  truncates: 0,
  tables: new Map(),
  pendingTransactions: 0,
  incomingChanges: 0,
  appliedChanges: 0,
  orderedBatches: 0,
  applySessions: 1,
  parallelBatches: 0,
};
