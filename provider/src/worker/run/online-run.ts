import { Notifier } from "../../async/notifier.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { type WindowPhase, windowOpensAt, windowPhase } from "../../inputs/cutover-window.js";
import type { DatabasePhase, DatabaseRecord } from "../../store/records.js";
import { withTimeout } from "../../async/with-timeout.js";
import { rejectOnAbort } from "../../async/reject-on-abort.js";
import type { DatabaseStep, DatabaseSteps } from "./database-steps.js";
import { comparisonSeconds, isComparisonDue, isRecentlyEqual } from "../streaming/comparison-schedule.js";
import { FollowedDatabase } from "../streaming/followed-database.js";
import type { LiveStream } from "../streaming/live-stream.js";
import { StreamLender } from "../streaming/stream-lender.js";
import { Semaphore } from "../../async/semaphore.js";
import type { MigrationCleanup } from "../cleanup/migration-cleanup.js";
import { type CopyScheduler, isToBeCopied } from "./copy-scheduler.js";
import { delay } from "../../async/delay.js";
import type { RunContext } from "../context/run-context.js";
import { SourceSlots } from "./source-slots.js";
import { MigrationStateTracker, type DatabaseStage } from "./migration-state-tracker.js";
import { RequestedVerifications } from "./requested-verifications.js";
import { RetainedWalMonitor } from "../monitoring/retained-wal-monitor.js";
import { finishReturn } from "../rollback/return-to-source.js";
import { RollbackReplication } from "../rollback/rollback-replication.js";
import type { Work } from "../context/work.js";

const slotPollMs = 2000;
/** A target that does not answer must not delay the end. */
const closeLenderMs = 5000;

/** Whether the database is cut over, but its migration has not ended. */
const isCutOver = (phase: DatabasePhase): boolean => phase === "rollingBack" || phase === "returned";

const hasEnded = (phase: DatabasePhase): boolean => phase === "done" || phase === "canceled";

/** Copies and replicates the databases of an online migration until cutover, then keeps their rollback replication. */
export class OnlineRun {
  readonly #context: RunContext;
  readonly #steps: DatabaseSteps;
  readonly #copies: CopyScheduler;
  readonly #cleanup: MigrationCleanup;
  readonly #followed = new Map<string, FollowedDatabase>();
  readonly #cutovers: Promise<boolean>[] = [];
  readonly #sourceSlots = new SourceSlots();
  /** One at a time, because a verification reads all rows and takes the source's only spare slot. */
  readonly #verificationSlots = new Semaphore(() => 1);
  readonly #stateTracker: MigrationStateTracker;

  constructor(context: RunContext, steps: DatabaseSteps, copies: CopyScheduler, cleanup: MigrationCleanup) {
    this.#context = context;
    this.#steps = steps;
    this.#copies = copies;
    this.#cleanup = cleanup;
    this.#stateTracker = new MigrationStateTracker(context.journal, () => steps.failure);
  }

  /**
   * Resolves when every database ended or failed.
   *
   * @throws the error that ends the run, without waiting for the databases, which may be waiting for the user
   */
  async run(databases: readonly DatabaseRecord[]): Promise<void> {
    this.#guardSources(databases);
    const lender = this.#lender(databases.length);
    try {
      await this.#followAll(databases);
      const open = databases.filter(({ name, phase }) => !hasEnded(phase) && !this.#steps.canceled.has(name));
      await this.#stateTracker.begin(open.map((database) => [database.name, this.#firstStageOf(database)]));
      await Promise.all(open.map((database) => this.#runToEnd(database)));
    } finally {
      this.#stateTracker.end();
      if (lender) await withTimeout(lender.close(), closeLenderMs);
      // Running cutovers complete even when the run ends.
      await Promise.allSettled(this.#cutovers);
      await Promise.all([...this.#followed.values()].map((one) => one.stop()));
      await Promise.all([...this.#steps.guards.values()].map((one) => one.close()));
    }
  }

  /** Only a pool has workers that ask for streams, and a single stream is never lent. */
  #lender(databases: number): StreamLender | undefined {
    const { spec, journal, requests } = this.#context;
    if (spec.runner !== "external" || databases < 2) return undefined;
    const streams = (): ReadonlyMap<string, LiveStream> =>
      new Map([...this.#followed].flatMap(([name, { stream }]) => (stream ? [[name, stream] as const] : [])));
    const mayLend = (name: string): boolean =>
      !(requests.isCutoverAsked(name) && this.#followed.get(name)?.isInCutoverWindow);
    return new StreamLender({ lease: journal.lease, streams, mayLend });
  }

  #firstStageOf({ name, phase }: DatabaseRecord): DatabaseStage {
    if (this.#steps.hasFailed(name)) return "failed";
    if (isCutOver(phase)) return "cutOver";
    return this.#followed.has(name) ? "awaitsCutover" : "copying";
  }

  /** The WAL of a failed database is monitored until the others end, because its slot is kept for the next try. */
  async #runToEnd(database: DatabaseRecord): Promise<void> {
    const { name } = database;
    if (!this.#steps.hasFailed(name))
      await this.#steps.take(
        database,
        this.#stopStreamOnFailure((record, work) => this.#finishDatabase(record, work)),
      );
    if (this.#steps.hasFailed(name)) {
      await this.#stateTracker.set(name, "failed");
      await this.#resumeGuard(name);
      await this.#steps.take(database, (_record, work) => this.#untilOthersEnd(name, work));
    }
    await this.#stateTracker.set(name, this.#steps.hasFailed(name) ? "failed" : "ended");
  }

  /** After a failed return, the source keeps receiving the target's writes meanwhile. */
  async #untilOthersEnd(name: string, work: Work): Promise<void> {
    const record = await this.#context.currentDatabase(name);
    // Only now: a rejection that nothing awaits yet would end the worker.
    const over = Promise.race([this.#stateTracker.over, rejectOnAbort(work.signal)]);
    if (record?.phase !== "rollingBack") return over;
    const rollbackReplication = new RollbackReplication(work, record);
    try {
      await Promise.race([over, rollbackReplication.failure]);
    } finally {
      await rollbackReplication.close();
    }
  }

  /** Wraps a step so that its failure stops the database's stream. */
  #stopStreamOnFailure(step: DatabaseStep): DatabaseStep {
    return async (record, work) => {
      try {
        await step(record, work);
      } catch (error) {
        await this.#followed.get(record.name)?.stop();
        this.#followed.delete(record.name);
        throw error;
      }
    };
  }

  #guardSources(databases: readonly DatabaseRecord[]): void {
    for (const { name } of databases.filter(({ phase }) => ["queued", "copying", "following"].includes(phase)))
      this.#guardSource(name);
  }

  #guardSource(name: string): void {
    const { spec, source, journal } = this.#context;
    this.#steps.guards.set(
      name,
      new RetainedWalMonitor({
        server: source,
        side: "source",
        database: name,
        slotDatabase: name,
        slot: changeCaptureNames(spec, name).slot,
        hasUnappliedChanges: () => this.#followed.get(name)?.isHeldUp,
        isCopying: () => this.#isToBeCopied(name),
        journal,
        spec: () => this.#context.spec,
      }),
    );
  }

  /** The cutover stopped the monitor. If it failed before the cutover LSN, the slot still retains WAL. */
  async #resumeGuard(name: string): Promise<void> {
    if (!this.#steps.guards.get(name)?.isClosed) return;
    const record = await this.#context.currentDatabase(name);
    if (record?.phase === "following" && record.slot !== undefined) this.#guardSource(name);
  }

  async #isToBeCopied(name: string): Promise<boolean> {
    const record = await this.#context.currentDatabase(name);
    return record !== undefined && isToBeCopied(record);
  }

  /**
   * Copies and replicates every database. A copied database replicates while the others are still being copied. A failed one
   * can be canceled meanwhile, and the WAL that its slot retains is limited.
   */
  async #followAll(databases: readonly DatabaseRecord[]): Promise<void> {
    const notifier = new Notifier();
    // Databases that ended in an earlier run have no step.
    let copying = databases.filter(({ phase }) => !hasEnded(phase)).length;
    const untilAllCopied = async (work: Work, ...failures: Promise<never>[]): Promise<void> => {
      while (copying > 0) await Promise.race([notifier.next, rejectOnAbort(work.signal), ...failures]);
    };
    const followUntilAllCopied = async (database: DatabaseRecord, work: Work): Promise<void> => {
      try {
        if (isCutOver(database.phase)) return;
        work.signal.throwIfAborted();
        await this.#follow(database, work);
      } finally {
        copying--;
        notifier.notify();
      }
      const failure = this.#followed.get(database.name)?.failure;
      await untilAllCopied(work, ...(failure ? [failure] : []));
    };
    await this.#steps.allEnd(databases, this.#stopStreamOnFailure(followUntilAllCopied), (_record, work) =>
      untilAllCopied(work),
    );
  }

  /** Starts the replication of a database, unless the source has no free slot. */
  async #follow(record: DatabaseRecord, work: Work): Promise<void> {
    const followed = await this.#copies.run(record, work, async (current) => {
      const start = (): Promise<FollowedDatabase> => FollowedDatabase.start(work, current);
      const hasSlot = current.phase === "following" || current.phase === "completing";
      return hasSlot ? start() : this.#sourceSlots.begin(work, current.name, start);
    });
    if (!followed) return;
    this.#followed.set(record.name, followed);
    if (!this.#context.requests.isCutoverAsked(record.name)) await followed.takeDownFence();
  }

  /** Waits for a free slot on the source, then copies and replicates the database. */
  async #followLate(name: string, work: Work): Promise<FollowedDatabase> {
    for (;;) {
      await delay(slotPollMs, work.signal);
      work.signal.throwIfAborted();
      const record = (await this.#context.currentDatabase(name))!;
      await this.#follow(record, work);
      const follower = this.#followed.get(name);
      if (follower) return follower;
    }
  }

  async #finishDatabase(record: DatabaseRecord, work: Work): Promise<void> {
    const { name, phase } = record;
    if (isCutOver(phase)) return this.#keepRollback(name, work);
    const follower = this.#followed.get(name) ?? (await this.#followLate(name, work));
    const begin = async (): Promise<boolean> => {
      if (!follower.isInCutoverWindow || !this.#context.requests.isCutoverAsked(name)) return false;
      // After the cutover LSN the target is independent: the monitor must not restart the copy of this database.
      await this.#steps.guards.get(name)?.close();
      work.signal.throwIfAborted();
      return true;
    };
    for (let isCutOver = false; !isCutOver;) {
      await this.#untilCutover(record, work, follower);
      await this.#stateTracker.set(name, "completing");
      const cutover = follower.cutOver(this.#isCompared(work, follower), begin);
      this.#cutovers.push(cutover);
      isCutOver = await cutover;
    }
    await this.#keepRollback(name, work);
  }

  /**
   * Waits for the request, then for the cutover window and a lag within `maxCutoverLag`. The request can be withdrawn meanwhile.
   */
  async #untilCutover({ name }: DatabaseRecord, work: Work, follower: FollowedDatabase): Promise<void> {
    const isRequested = (): boolean => this.#context.requests.isCutoverAsked(name);
    for (;;) {
      const isInTime =
        (await this.#untilWindow(name, work, follower)) &&
        (await follower.untilNearEnough(() => isRequested() && follower.isInCutoverWindow));
      if (isInTime) return;
    }
  }

  /**
   * Waits for the request and the cutover window. Meanwhile the database is compared when the user asks for it, and before the
   * window.
   *
   * @returns false if the cutover is no longer requested
   */
  async #untilWindow(name: string, work: Work, follower: FollowedDatabase): Promise<boolean> {
    const { requests } = this.#context;
    const isRequested = (): boolean => requests.isCutoverAsked(name);
    const onPhase = (phase: WindowPhase): Promise<void> =>
      this.#stateTracker.set(name, phase === "ahead" ? "awaitsWindow" : "awaitsCutover");
    const verifications = new RequestedVerifications({
      requests,
      database: follower,
      last: (await this.#context.currentDatabase(name))!.verification,
      slots: this.#verificationSlots,
      isDueBeforeCutover: () => isRequested() && this.#isComparisonDue(work, follower),
    });
    const failure = Promise.race([rejectOnAbort(work.signal), follower.failure, verifications.failure]);
    // Prevents an unhandled rejection between two waits.
    failure.catch(() => undefined);
    try {
      if (!isRequested()) await this.#stateTracker.set(name, "awaitsCutover");
      await Promise.race([requests.cutoverOf(name), failure]);
      if (!(await follower.untilCutoverWindow(isRequested, onPhase, failure))) return false;
      if (this.#isComparedBefore(work)) {
        await this.#stateTracker.set(name, "completing");
        // A comparison that began in time may end in the window.
        await Promise.race([verifications.finish(), failure]);
      }
      return isRequested();
    } finally {
      await verifications.close();
    }
  }

  /** Whether the comparison before the cutover belongs before a window. Without a window, the cutover starts with it. */
  readonly #isComparedBefore = ({ spec }: Work): boolean =>
    spec.verifyBeforeCutover && spec.cutoverWindow !== undefined;

  #isComparisonDue(work: Work, { lastComparison }: FollowedDatabase): boolean {
    const { cutoverWindow: window } = work.spec;
    if (!window || !this.#isComparedBefore(work) || windowPhase(window) !== "ahead") return false;
    const seconds = this.#comparisonSeconds();
    return isComparisonDue(lastComparison, { seconds, opensAt: windowOpensAt(window), now: Date.now() });
  }

  #isCompared(work: Work, { lastComparison }: FollowedDatabase): boolean {
    return this.#isComparedBefore(work) && isRecentlyEqual(lastComparison, this.#comparisonSeconds(), Date.now());
  }

  /** What the last comparisons of all databases took. They run one after another. */
  #comparisonSeconds(): number {
    return [...this.#followed.values()].reduce((sum, one) => sum + (comparisonSeconds(one.lastComparison) ?? 0), 0);
  }

  /** Keeps the rollback replication, if the cutover started one, until the user drops it or returns to the source. */
  async #keepRollback(name: string, work: Work): Promise<void> {
    const record = await this.#context.currentDatabase(name);
    if (!record) return;
    if (record.phase === "returned") return finishReturn(work, record);
    if (record.phase !== "rollingBack") return this.#cleanup.removeRollback(record);
    await work.journal.database(name, { state: "Succeeded", message: null });
    const rollbackReplication = new RollbackReplication(work, record);
    try {
      if (work.spec.rollback !== "return") await rollbackReplication.takeDownFence();
      await this.#stateTracker.set(name, "kept");
      const decided = this.#context.requests.rollbackDecided();
      const decision = await Promise.race([decided, rejectOnAbort(work.signal), rollbackReplication.failure]);
      await this.#stateTracker.set(name, "completing");
      if (decision === "return") await rollbackReplication.returnToSource();
      else await rollbackReplication.drop();
    } finally {
      await rollbackReplication.close();
    }
  }
}
