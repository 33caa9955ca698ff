import type { Client } from "pg";
import { Follower } from "../../cdc/follower.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { cutOver } from "../../cutover/cut-over.js";
import { ContentDiffersError, ConcurrentChangeError, RefusedError } from "../../errors.js";
import { refreshBeforeHandover } from "../../schema/restore/materialized-views.js";
import { relationKey } from "../../postgres/identifiers.js";
import { readRestoreContext } from "../../schema/restore/restore-context.js";
import type { OnlineVerification } from "../../status.js";
import { type WindowPhase, windowPhase } from "../../inputs/cutover-window.js";
import type { DatabaseRecord } from "../../store/records.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { copyDatabase } from "../initial-copy/copy-database.js";
import { reportFindings } from "../context/report-findings.js";
import { compareDatabase, comparisonStep } from "../comparison/compare-database.js";
import { StreamRecord } from "../followers/stream-record.js";
import type { StreamState } from "../followers/stream-state.js";
import { comparisonSeconds } from "./comparison-schedule.js";
import { untilWindowOpens } from "./cutover-window.js";
import { finishCutover } from "./finish-cutover.js";
import { type FollowChanges, LiveStream } from "./live-stream.js";
import { connect } from "../../postgres/connection/connect.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { streamOptions } from "./stream-options.js";
import { StreamReports } from "./stream-reports.js";
import { sentence, verifyOnline } from "./online-verification.js";
import { rejectOnAbort } from "../../async/reject-on-abort.js";
import { delay } from "../../async/delay.js";
import { pollUntil } from "../../async/poll-until.js";
import { retryDatabaseStep } from "../context/retry.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import { DatabaseFence } from "../cleanup/database-fence.js";
import { readSourceVersion } from "../schema-diff/source-version.js";
import { openRollback, requireRollback } from "../rollback/open-rollback.js";
import type { Work } from "../context/work.js";

/** How many cutover LSNs are tried if tables are truncated after each of them. */
const maxCutoverAttempts = 3;
const pauseBetweenAttemptsMs = 1000;
const lagPollMs = 500;

/** The `requestedBy` of a comparison before the cutover. */
export const beforeCutover = "beforeCutover";

/** One database of an online migration, from its initial copy to the end of its cutover. */
export class FollowedDatabase {
  readonly #work: Work;
  readonly #name: string;
  readonly #record: StreamRecord;
  readonly #fence: DatabaseFence;
  /** Undefined after the cutover, during clean-up. */
  readonly #stream: LiveStream | undefined;
  readonly #reports: StreamReports;
  /** The last comparison of this copy, also of an earlier worker. */
  #lastComparison: OnlineVerification | undefined;

  private constructor(work: Work, record: DatabaseRecord, following: StreamState, completing: boolean) {
    const { name } = record;
    this.#work = work;
    this.#name = name;
    this.#record = new StreamRecord(work, name, following);
    this.#fence = new DatabaseFence(work, record, "source");
    this.#reports = new StreamReports(work, name);
    this.#lastComparison = record.verification;
    this.#stream = completing ? undefined : new LiveStream(this.#record, (changes) => this.#follow(changes));
  }

  /** Copies the database, unless that was done before, and follows the source. Resolves when the source streams. */
  static async start(work: Work, record: DatabaseRecord): Promise<FollowedDatabase> {
    const one = await FollowedDatabase.#begin(work, record);
    try {
      if (!one.#stream) return one;
      const opened = one.#reports.streaming.then(() => one.#stream!.requirePublications());
      await Promise.race([opened, one.failure, rejectOnAbort(work.signal)]);
      await work.journal.database(record.name, {
        phase: "following",
        state: "WaitingForCutoverTrigger",
        message: null,
      });
      return one;
    } catch (error) {
      await one.stop();
      throw error;
    }
  }

  static async #begin(work: Work, record: DatabaseRecord): Promise<FollowedDatabase> {
    if (record.phase === "following" || record.phase === "completing")
      return new FollowedDatabase(work, record, record.deferredPlan as StreamState, record.phase === "completing");
    const remainder = await copyDatabase(work, record);
    await work.journal.database(record.name, {
      phase: "following",
      message: "opening the stream",
      deferredPlan: remainder,
    });
    return new FollowedDatabase(work, { ...record, verification: undefined }, remainder, false);
  }

  /** Rejects when the stream has failed and is not restarted. Never resolves. */
  get failure(): Promise<never> {
    return this.#stream?.failed ?? new Promise<never>(() => undefined);
  }

  /** Whether there are changes that the target has not accepted yet. */
  get isHeldUp(): boolean {
    return this.#stream?.isHeldUp ?? false;
  }

  /** The stream before the end of the cutover. */
  get stream(): LiveStream | undefined {
    return this.#stream;
  }

  /** The last comparison during the replication, unless the database was copied again since. */
  get lastComparison(): OnlineVerification | undefined {
    return this.#lastComparison;
  }

  /** Whether the cutover may start now. True during clean-up, after the cutover. */
  get isInCutoverWindow(): boolean {
    return !this.#stream || windowPhase(this.#work.spec.cutoverWindow) === "open";
  }

  /**
   * Waits for the cutover window. Does nothing during clean-up, after the cutover.
   *
   * @param failure ends the wait when it rejects
   * @returns false if the cutover is no longer requested
   */
  async untilCutoverWindow(
    isRequested: () => boolean,
    onPhase: (phase: WindowPhase) => Promise<void>,
    failure: Promise<never>,
  ): Promise<boolean> {
    if (this.isInCutoverWindow) return true;
    // An earlier worker may have ended during a cutover, and left its fence.
    await this.takeDownFence();
    return untilWindowOpens(this.#record, {
      ...{ failure, isRequested, onPhase },
      comparisonSeconds: () =>
        this.#work.spec.verifyBeforeCutover ? comparisonSeconds(this.#lastComparison) : undefined,
    });
  }

  /**
   * Waits for a lag within `maxCutoverLag`. Does nothing during clean-up, after the cutover.
   *
   * @returns false if the cutover is no longer requested
   */
  async untilNearEnough(isRequested: () => boolean = () => true): Promise<boolean> {
    if (this.#isNearEnough()) return true;
    const { journal, signal } = this.#work;
    await journal.database(this.#name, { message: "waiting for a lag within maxCutoverLag before the cutover" });
    const { failure } = this;
    await pollUntil(() => !isRequested() || this.#isNearEnough(), { everyMs: lagPollMs, signal, failure });
    await journal.database(this.#name, { message: null });
    return isRequested();
  }

  #isNearEnough(): boolean {
    const limit = this.#work.spec.maxCutoverLag;
    if (limit === undefined || !this.#stream) return true;
    // Only this worker's own stream is measured here. It is taken back when the cutover is requested.
    if (this.#stream.borrower !== undefined) return false;
    return (this.#reports.lagSeconds ?? Infinity) <= limit;
  }

  /**
   * Compares every row while applications write. Does nothing during clean-up, after the cutover.
   *
   * @param requestedBy the value of `verifyNow`, or {@link beforeCutover}
   */
  async verify(requestedBy: string, signal: AbortSignal): Promise<OnlineVerification | undefined> {
    const [database, stream] = [this.#name, this.#stream];
    if (!stream) return undefined;
    const answers = requestedBy === beforeCutover ? this.#work.spec.verifyNow : undefined;
    const verification = { database, stream, requestedBy, ...(answers !== undefined && { answers }), signal };
    return (this.#lastComparison = await verifyOnline(this.#work, verification));
  }

  /**
   * @param isCompared whether the rows were compared for this cutover and were equal
   * @param onBegin called before the source is fenced or the stream is held: before that, the cutover may wait for hours. If it
   *   returns false, the cutover does not begin.
   * @returns whether the database was cut over
   */
  async cutOver(isCompared: boolean, onBegin: () => Promise<boolean>): Promise<boolean> {
    const { journal, spec, signal } = this.#work;
    if (this.#stream) {
      if (spec.rollback === "keep") await this.#retryDatabaseStep(() => requireRollback(this.#work, this.#name));
      if (spec.verifyBeforeCutover && !isCompared) {
        await journal.database(this.#name, { message: "comparing before the cutover" });
        refuseUnlessEqual(await this.verify(beforeCutover, signal));
        // The comparison may take hours.
        await this.untilNearEnough(() => this.isInCutoverWindow);
      }
      if (!(await onBegin())) {
        await this.#record.showMessage(null);
        return false;
      }
      const stream = this.#stream;
      // Missing objects are found before the cutover LSN, because they could not be restored after it.
      const reachPoint = (): Promise<void> =>
        this.#retryAtAnotherLsn(() =>
          stream.exclusivelyWithAll((...carried) => this.#reachPoint(...carried), this.#stopWritersEarly),
        );
      await this.#fence.takeDownOnFailure(() => this.#retryDatabaseStep(reachPoint, () => !stream.hasFailed));
      // The target no longer depends on the source: a successor only cleans up.
      await journal.database(this.#name, {
        phase: "completing",
        state: "InProgress",
        message: "cleaning up",
        deferredPlan: this.#record.following,
      });
    }
    await this.#retryDatabaseStep(async () => {
      await this.stop();
      await finishCutover(this.#record);
    });
    if (spec.rollback !== "keep") {
      await journal.database(this.#name, { phase: "done", state: "Succeeded", message: null });
      return true;
    }
    const places = { name: this.#name, targetName: targetDatabase(spec, this.#name) };
    const rollbackTables = await this.#retryDatabaseStep(() => openRollback(this.#work, places));
    await journal.database(this.#name, {
      phase: "rollingBack",
      state: "Succeeded",
      message: null,
      deferredPlan: { ...this.#record.following, rollbackTables },
    });
    return true;
  }

  /** Lifts the fence of an earlier worker, if the cutover is no longer requested. */
  async takeDownFence(): Promise<void> {
    if (this.#stream) await this.#fence.takeDown();
  }

  async stop(): Promise<void> {
    await this.#stream?.stop();
    await this.#reports.end();
  }

  /** Retries at another cutover LSN if a table is truncated or altered before the comparison has ended. */
  async #retryAtAnotherLsn(run: () => Promise<void>): Promise<void> {
    const { journal, signal } = this.#work;
    for (let round = 1; ; round++)
      try {
        await run();
        return;
      } catch (error) {
        if (!(error instanceof ConcurrentChangeError) || round === maxCutoverAttempts) throw error;
        const text = `the cutover starts again at another LSN: ${error.message}`;
        await journal.event(text, { database: this.#name, level: "warning" });
        await delay(round * pauseBetweenAttemptsMs, signal);
        signal.throwIfAborted();
      }
  }

  /** Raises the fence. Undefined without a fence: the operator then stops the applications. */
  get #stopWriters(): (() => Promise<void>) | undefined {
    return this.#work.spec.fence === "readOnly" ? () => this.#fence.putUp() : undefined;
  }

  /** Raises the fence before the stream has all tables, so that the source is read-only while the remaining ones are copied. */
  get #stopWritersEarly(): (() => Promise<void>) | undefined {
    const stopWriters = this.#stopWriters;
    if (!stopWriters) return undefined;
    return async () => {
      const text =
        "the fence is raised early, because applications lock, alter or truncate tables that are not copied yet";
      await this.#work.journal.event(text, { database: this.#name, level: "warning" });
      const startedAt = performance.now();
      await stopWriters();
      const seconds = (performance.now() - startedAt) / 1000;
      await this.#work.journal.cutoverStep(this.#name, "put up the fence early", seconds);
    };
  }

  /** @param sourceVersion version of the schema that was applied to the target */
  async #reachPoint(follower: Follower, sourceVersion: string): Promise<void> {
    const { spec, source, journal, signal } = this.#work;
    await journal.database(this.#name, { state: "InProgress", message: "cutting over" });
    await this.#withSessions(async (sourceSession, targetSession) => {
      await cutOver({
        source,
        database: this.#name,
        slot: pointSlot(changeCaptureNames(spec, this.#name)),
        plugin: this.#record.following.plugin,
        follower,
        sourceSession,
        targetSession,
        signal,
        onWaiting: blockerReporter(this.#work, this.#name, "source"),
        onQueued: queueReporter(this.#work, this.#name),
        hasSequence: (sequence) => !this.#record.following.cutSequences.includes(relationKey(sequence)),
        sequenceMargin: spec.sequenceMargin,
        onSequences: (sequences) => journal.sequences(this.#name, "target", sequences),
        putUpFence: this.#stopWriters,
        onEscapedChanges: (changes) => this.#fence.reportEscapedChanges(changes),
        requireSchema: () => this.#requireSchema(sourceSession, sourceVersion),
        refreshMaterializedViews: () => this.#refresh(sourceSession, targetSession),
        compare: async ({ lsn, ...point }) => {
          await journal.database(this.#name, { cutoverLsn: lsn });
          const moment = { occasion: "cutover", lsn } as const;
          return comparisonStep(await compareDatabase(this.#work, { database: this.#name, ...point, moment }));
        },
        onStep: (step, seconds) => journal.cutoverStep(this.#name, step, seconds),
      });
    });
  }

  #withSessions(run: (source: Client, target: Client) => Promise<void>): Promise<void> {
    const { source, target, spec } = this.#work;
    const purpose = `${spec.migrationName} cutover`;
    return withTwoSessions(
      () => connect(source, { database: this.#name, purpose }),
      () => connect(target, { database: targetDatabase(spec, this.#name), purpose }),
      run,
    );
  }

  async #refresh(source: Client, target: Client): Promise<void> {
    const { materializedViews, sourceSearchPath } = this.#record.following;
    const context = await readRestoreContext(target, { sourceSearchPath });
    const { findings, later } = await refreshBeforeHandover(source, target, materializedViews, context);
    // The stream records its state until it ends.
    await this.#record.keep({ refreshLater: later });
    await reportFindings(this.#work, this.#name, findings);
  }

  /** @throws ConcurrentChangeError when the source's schema is not the one that was applied to the target */
  async #requireSchema(source: Client, before: string): Promise<void> {
    if ((await readSourceVersion(source)) === before) return;
    throw new ConcurrentChangeError(`the schema of ${this.#name} was altered on the source while it was cut over`, {
      remedy: "cut over when nothing alters the source's schema, or its privileges, every second",
      code: "PGM-503",
    });
  }

  /** Retries a step, which has to be idempotent. */
  #retryDatabaseStep<Result>(run: () => Promise<Result>, isOfUse?: () => boolean): Promise<Result> {
    return retryDatabaseStep(this.#work, this.#name, run, isOfUse);
  }

  #follow(changes: FollowChanges): Follower {
    this.#reports.forgetLag();
    return new Follower({
      ...streamOptions(this.#work, this.#name, () => this.#record.following),
      onEvent: this.#reports.onEvent,
      onProgress: this.#reports.onProgress,
      ...changes,
    });
  }
}

function refuseUnlessEqual(verification: OnlineVerification | undefined): void {
  if (!verification || verification.state === "equal") return;
  const text = `not cut over: ${sentence(verification)}`;
  throw verification.state === "different" ? new ContentDiffersError(text) : new RefusedError(text);
}
