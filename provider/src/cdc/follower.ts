import type { FollowOptions, FollowState, FollowStatus } from "./follow-options.js";
import { setTimeout as sleep } from "node:timers/promises";
import { Notifier } from "../async/notifier.js";
import { CanceledError, ContentDiffersError, RefusedError, TakenOverError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { sqlStateOf } from "../postgres/sql-state.js";
import { BacklogIncomplete } from "./reader/backlog-reader.js";
import { asFailure, isLogin, isRetryable } from "./model/failure.js";
import { ApplyBarrier } from "./apply-barrier.js";
import { isLockTableFull, LockTableFull, lockTableFull } from "./apply/lock-table-full.js";
import { migrationRoles } from "./model/stream-roles.js";
import { ApplyConnection } from "./apply-connection.js";
import { readProgress } from "./target/progress.js";
import { TextFormatRequired, type ValueForm } from "./model/value-form.js";

const firstRetryMs = 200;
const longestRetryMs = 5000;
/** How long a batch may still take after stop before its session is ended on the server. */
const stopGraceMs = 3000;
const progressEveryMs = 1000;

/**
 * Applies the changes of a slot to the target, each exactly once, until stopped.
 *
 * Before: createPublications, createSlot, initProgress, and a copy under the slot's snapshot. Needs no clean-up but
 * {@link stop}; slot, publications and progress stay.
 */
export class Follower {
  /**
   * Resolves after {@link stop}. Rejects with TakenOverError, RefusedError, ContentDiffersError or EngineError as they arise, and with
   * UnreachableError when a server stays away for too long.
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
  #counts = { received: 0, ordered: 0 };
  #disconnectedAt: number | undefined;
  #wasOpened = false;
  /** Of the last stream. */
  #form: ValueForm = "text";
  /** What was told last of a target's lock table, where nothing else was told since. */
  #fullBy: string | undefined;
  /** The last connected lifetime lacked nothing, or got further than any before: what ended it is another loss. */
  #hadGotOn = false;
  /** It got further than any before. */
  #wentFurther = false;
  /** How far any of them has come: a position, and so many changes of the transaction behind it. */
  #furthest = { lsn: 0n, changes: 0 };

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
    this.finished = this.#live().finally(() => {
      clearInterval(this.#reporter);
      options.signal?.removeEventListener("abort", stop);
    });
    // Whoever awaits `finished` or a drain gets the error; one who does neither must not lose the process by it.
    this.finished.catch(() => undefined);
  }

  status(): FollowStatus {
    if (this.#connection) return this.#statusOf(this.#connection);
    const disconnectedSeconds = this.#disconnectedAt === undefined ? 0 : (Date.now() - this.#disconnectedAt) / 1000;
    return { ...this.#last, state: this.#state, latencySeconds: this.#last.latencySeconds + disconnectedSeconds };
  }

  /**
   * Stops applying between two transactions; resolves when it rests. Reading goes on within its bounds.
   *
   * @throws LockNotAvailableError naming the session that holds a lock which a batch has waited for all this time
   */
  async hold(): Promise<void> {
    const held = this.#barrier.hold();
    this.#notifier.notify();
    await held;
  }

  /**
   * Applies every transaction that committed on the source at or before `lsn`, and none after; resolves when that is
   * durable, also on an idle source. Applying rests there until {@link resume}.
   *
   * @throws EngineError when a later transaction has been applied already: see {@link hold}
   * @throws LockNotAvailableError as {@link hold}
   * @throws whatever {@link finished} rejects with
   */
  async drainTo(lsn: Lsn): Promise<void> {
    const drained = this.#barrier.closeAfter(lsn);
    this.#notifier.notify();
    await drained;
  }

  /** While held: lets pass what committed at or before `lsn`, so that a long wait does not become a long lag. */
  releaseUpTo(lsn: Lsn): void {
    this.#barrier.releaseUpTo(lsn);
    this.#notifier.notify();
  }

  /** Goes on after {@link hold} or {@link drainTo}. */
  resume(): void {
    this.#barrier.open();
    this.#notifier.notify();
  }

  /** Ends after the batch in hand, or without it when it takes too long; resolves when all sessions have ended. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#notifier.notify();
    const late = setTimeout(() => void this.#endBatchOnServer(), stopGraceMs);
    // Its failure is for those who await it.
    await this.finished.catch(() => undefined);
    clearTimeout(late);
  }

  async #live(): Promise<void> {
    try {
      await this.#untilStopped();
      this.#state = "stopped";
      this.#barrier.fail(new CanceledError("following the source's changes was stopped"));
    } catch (error) {
      this.#state = "failed";
      const { target, targetDatabase } = this.#options;
      const doing = `applying changes to ${targetDatabase} on ${target.host}:${target.port}`;
      const failure = await this.#orTakenOver(asFailure(error, doing));
      this.#barrier.fail(failure);
      throw failure;
    }
  }

  /**
   * What a successor has applied meanwhile looks like a difference, or a change that is refused: it is no fault of
   * anybody.
   */
  async #orTakenOver(failure: Error): Promise<Error> {
    if (!(failure instanceof RefusedError || failure instanceof ContentDiffersError)) return failure;
    const { target, targetDatabase, migration, generation } = this.#options;
    try {
      const session = await connect(target, { database: targetDatabase, purpose: "look for a successor" });
      const progress = await readProgress(session, migration).finally(() => session.end());
      if (progress === undefined || progress.generation <= generation) return failure;
      return new TakenOverError(
        `changes of ${migration} are applied by a worker of generation ${progress.generation} now`,
        {
          cause: failure,
        },
      );
    } catch {
      // Then nobody can tell, and the failure stands.
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
        if (this.#form === "binary" && isToBeToldInText(error)) {
          this.#options = { ...this.#options, valueForm: "text" };
          continue;
        }
        if (error instanceof BacklogIncomplete) {
          this.#options = { ...this.#options, backlog: { behindBytes: Infinity } };
          continue;
        }
        // Once at any place, lest it be without end.
        if (this.#wentFurther && isOfOlderTypes(error)) continue;
        // Who was let in before may be again: a password is being changed, a token's server is away.
        if (!isRetryable(error) && !(this.#wasOpened && isLogin(error))) throw error;
        if (lostAt === undefined || this.#hadGotOn) {
          lostAt = Date.now();
          retryMs = firstRetryMs;
        }
        if (Date.now() - lostAt + retryMs > windowMs) throw error;
        this.#state = "reconnecting";
        this.#tell(error, retryMs);
        await this.#pause(retryMs);
        retryMs = Math.min(2 * retryMs, longestRetryMs);
      }
    }
  }

  async #lockTableFull(cause: unknown): Promise<unknown> {
    const { target, targetDatabase, parts = migrationRoles } = this.#options;
    try {
      return await lockTableFull(target, targetDatabase, parts, cause);
    } catch {
      // Nobody can be asked for the setting: that is the next try's to tell.
      return cause;
    }
  }

  #tell(error: unknown, retryInMs: number): void {
    const reason = messageOf(error);
    const isFull = error instanceof LockTableFull;
    if (!isFull) this.#options.onEvent?.({ kind: "connectionLost", reason, retryInMs });
    else if (reason !== this.#fullBy) this.#options.onEvent?.({ kind: "lockTableFull", reason, remedy: error.remedy! });
    this.#fullBy = isFull ? reason : undefined;
  }

  /** One connected lifetime. */
  async #once(): Promise<void> {
    const takeOver = !this.#wasOpened;
    this.#hadGotOn = this.#wentFurther = false;
    const connection = await ApplyConnection.open(
      this.#options,
      this.#notifier,
      this.#barrier,
      takeOver,
      this.#stopped.signal,
    );
    this.#wasOpened = true;
    this.#form = connection.form;
    const openedAt = Date.now();
    this.#connection = connection;
    this.#disconnectedAt = undefined;
    this.#options.onEvent?.({ kind: "streaming", from: formatLsn(connection.applier.appliedThroughLsn) });
    try {
      await connection.run(this.#barrier, () => this.#isStopping());
    } finally {
      this.#last = this.#statusOf(connection);
      const hadCaughtUp = connection.pendingTransactions === 0 && Date.now() - openedAt > longestRetryMs;
      this.#wentFurther = this.#goesFurther(connection);
      this.#hadGotOn = this.#wentFurther || hadCaughtUp;
      this.#counts.received += connection.buffer.receivedChanges;
      this.#connection = undefined;
      this.#disconnectedAt = Date.now();
      await connection.close();
    }
  }

  /**
   * Notes how far it has come, also within a transaction that is begun anew: one that takes longer than a server may be
   * away.
   */
  #goesFurther({ applier: { appliedThroughLsn: lsn }, takenOfTransaction: changes }: ApplyConnection): boolean {
    const { lsn: before, changes: taken } = this.#furthest;
    const isFurther = lsn > before || (lsn === before && changes > taken);
    if (isFurther) this.#furthest = { lsn, changes };
    return isFurther;
  }

  #isStopping(): boolean {
    return this.#stopped.signal.aborted;
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await sleep(milliseconds, undefined, { signal: this.#stopped.signal });
    } catch (error) {
      if (!this.#isStopping()) throw error;
    }
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
      ...counts,
      pendingTransactions: connection.pendingTransactions,
      incomingChanges: this.#counts.received + buffer.receivedChanges,
      appliedChanges: counts.inserts + counts.updates + counts.deletes + counts.truncates,
      orderedBatches: this.#counts.ordered,
    };
  }

  async #endBatchOnServer(): Promise<void> {
    const connection = this.#connection;
    if (!connection) return;
    const { target, targetDatabase } = this.#options;
    try {
      const session = await connect(target, { database: targetDatabase, purpose: "end a batch" });
      await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [connection.targetProcessId]);
      await session.end();
    } catch {
      // The target is away: then so is the session.
    }
    // Its end may never be heard of.
    connection.abandonTarget();
  }
}

/**
 * Whether what failed with values in binary form is to be tried with their text: that goes on, or fails with a message in
 * which a value can be read. Class 22: data exception, which a server may see in a form that it does not know.
 */
const isToBeToldInText = (error: unknown): boolean =>
  error instanceof TextFormatRequired ||
  error instanceof ContentDiffersError ||
  [error, (error as { cause?: unknown }).cause].some((one) => /^22...$/.test(sqlStateOf(one)));

/**
 * What a session has prepared or staged keeps the types that it began with; one that was made anew under its name since,
 * as an enum is to lose a label, is met there as another one, as the one of before (which lacks a new label), or as none
 * (cache lookup failed). A new session knows it.
 */
const isOfOlderTypes = (error: unknown): boolean =>
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
  inserts: 0,
  updates: 0,
  deletes: 0,
  truncates: 0,
  pendingTransactions: 0,
  incomingChanges: 0,
  appliedChanges: 0,
  orderedBatches: 0,
};
