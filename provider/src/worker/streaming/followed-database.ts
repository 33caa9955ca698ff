import { log } from "../../log.js";
import type { Client } from "pg";
import { formatBytes } from "../../units/byte-size.js";
import { Follower } from "../../cdc/follower.js";
import type { FollowEvent, FollowOptions, FollowStatus } from "../../cdc/follow-options.js";
import { changeCaptureNames, pointSlot } from "../../cdc/model/names.js";
import { dropProgress } from "../../cdc/target/progress.js";
import { cutOver } from "../../cutover/cut-over.js";
import { ContentDiffersError, ConcurrentChangeError, RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { carryConnectionLimit } from "../../schema/database/database.js";
import { refreshMaterializedViews } from "../../schema/restore/materialized-views.js";
import { readRestoreContext, type RestoreContext } from "../../schema/restore/restore-context.js";
import { restoreEntries } from "../../schema/restore/restore.js";
import { relationKey } from "../../schema/plan/selection.js";
import { validateConstraint } from "../../schema/restore/validate-constraint.js";
import type { OnlineVerification } from "../../status.js";
import type { FollowReport } from "../../store/journal.js";
import type { DatabaseRecord } from "../../store/records.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { copyDatabase } from "../initial-copy/copy-database.js";
import type { PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";
import { reportFindings } from "../context/report-findings.js";
import {
  compareDatabase,
  compareSchemas,
  comparisonStep,
  nameDropped,
  nameForeignOptions,
} from "../comparison/compare-database.js";
import { FollowRateMeter } from "../followers/apply-rates.js";
import type { StreamState } from "../followers/stream-state.js";
import { LiveStream } from "./live-stream.js";
import { sentence, verifyOnline } from "./online-verification.js";
import { rejectOnAbort } from "../../async/reject-on-abort.js";
import { delay } from "../../async/delay.js";
import { retryDatabaseStep } from "../context/retry.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { DatabaseFence } from "../cleanup/database-fence.js";
import { dropSourceObjects } from "../cleanup/source-objects.js";
import { readSourceVersion } from "../schema-diff/source-version.js";
import { tablesInScope } from "../context/tables-in-scope.js";
import { requireRollback, RollbackReplication } from "../rollback/rollback-replication.js";
import type { Work } from "../context/work.js";

/** How many cutover LSNs are tried if tables are truncated after each of them. */
const maxCutoverAttempts = 3;
const pauseBetweenAttemptsMs = 1000;

/** One database of an online migration, from its initial copy to the end of its cutover. */
export class FollowedDatabase {
  readonly #work: Work;
  readonly #name: string;
  readonly #handedOver: StreamState;
  readonly #fence: DatabaseFence;
  /** Undefined after the cutover, during clean-up. */
  readonly #stream: LiveStream | undefined;
  #reporting = Promise.resolve();
  readonly #rates = new FollowRateMeter();
  #streams: () => void = () => undefined;
  readonly #streaming = new Promise<void>((resolve) => (this.#streams = resolve));

  private constructor(work: Work, record: DatabaseRecord, following: StreamState, completing: boolean) {
    const { name } = record;
    this.#work = work;
    this.#name = name;
    this.#handedOver = following;
    this.#fence = new DatabaseFence(work, record, "source");
    this.#stream = completing ? undefined : new LiveStream(work, name, following, (changes) => this.#follow(changes));
  }

  /** Copies the database, unless that was done before, and follows the source. Resolves when the source streams. */
  static async start(work: Work, record: DatabaseRecord): Promise<FollowedDatabase> {
    const one = await FollowedDatabase.#begin(work, record);
    try {
      if (!one.#stream) return one;
      await Promise.race([one.#streaming, one.failure, rejectOnAbort(work.signal)]);
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
    return new FollowedDatabase(work, record, remainder, false);
  }

  /** Rejects when the stream has failed and is not restarted. Never resolves. */
  get failure(): Promise<never> {
    return this.#stream?.failed ?? new Promise<never>(() => undefined);
  }

  /** Whether there are changes that the target has not accepted yet. */
  get isHeldUp(): boolean {
    return this.#stream?.isHeldUp ?? false;
  }

  /**
   * Compares every row while applications write. Does nothing during clean-up, after the cutover.
   *
   * @param requestedBy the value of `verifyNow`, or `beforeCutover`
   */
  async verify(requestedBy: string, signal: AbortSignal): Promise<OnlineVerification | undefined> {
    const [database, stream] = [this.#name, this.#stream];
    return stream && verifyOnline(this.#work, { database, stream, requestedBy, signal });
  }

  async cutOver(): Promise<void> {
    const { journal, spec, signal } = this.#work;
    if (this.#stream) {
      if (spec.rollback === "keep") await this.#retryDatabaseStep(() => requireRollback(this.#work, this.#name));
      if (spec.verifyBeforeCutover) {
        await journal.database(this.#name, { message: "comparing before the cutover" });
        refuseUnlessEqual(await this.verify("beforeCutover", signal));
      }
      const stream = this.#stream;
      // Missing objects are found before the cutover LSN, because they could not be restored after it.
      const reachPoint = (): Promise<void> =>
        this.#unlessOvertaken(() => stream.exclusivelyWithAll((...carried) => this.#reachPoint(...carried)));
      await this.#fence.takeDownOnFailure(() => this.#retryDatabaseStep(reachPoint, () => !stream.hasFailed));
      // The target no longer depends on the source: a successor only cleans up.
      await journal.database(this.#name, { phase: "completing", state: "InProgress", message: "cleaning up" });
    }
    await this.#retryDatabaseStep(() => this.#finish());
    if (spec.rollback !== "keep")
      return journal.database(this.#name, { phase: "done", state: "Succeeded", message: null });
    const handover = this.#remainder;
    const places = { name: this.#name, targetName: targetDatabase(spec, this.#name) };
    await this.#retryDatabaseStep(() => RollbackReplication.open(this.#work, places));
    await journal.database(this.#name, {
      phase: "rollingBack",
      state: "Succeeded",
      message: null,
      deferredPlan: handover,
    });
  }

  /** Lifts the fence of an earlier worker, if the cutover is no longer requested. */
  async takeDownFence(): Promise<void> {
    if (this.#stream) await this.#fence.takeDown();
  }

  async stop(): Promise<void> {
    await this.#stream?.stop();
    await this.#reporting;
  }

  get #remainder(): StreamState {
    return this.#stream?.following ?? this.#handedOver;
  }

  /** Retries at another cutover LSN if a table is truncated or altered before the comparison has ended. */
  async #unlessOvertaken(run: () => Promise<void>): Promise<void> {
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

  /** @param sourceVersion version of the schema that was applied to the target */
  async #reachPoint(follower: Follower, sourceVersion: string): Promise<void> {
    const { spec, source, journal, signal } = this.#work;
    await journal.database(this.#name, { state: "InProgress", message: "cutting over" });
    const sourceSession = await this.#connectSource("cutover");
    try {
      const targetSession = await this.#connectTarget("cutover");
      try {
        await cutOver({
          source,
          database: this.#name,
          slot: pointSlot(changeCaptureNames(spec, this.#name)),
          plugin: this.#remainder.plugin,
          follower,
          sourceSession,
          targetSession,
          signal,
          onWaiting: blockerReporter(this.#work, this.#name, "source"),
          hasSequence: ({ schema, name }) => !this.#remainder.cutSequences.includes(relationKey(schema, name)),
          sequenceMargin: spec.sequenceMargin,
          putUpFence: spec.fence === "readOnly" ? () => this.#fence.putUp() : undefined,
          onEscapedChanges: (changes) => this.#fence.reportEscapedChanges(changes),
          requireSchema: () => this.#requireSchema(sourceSession, sourceVersion),
          refreshMaterializedViews: () => this.#refresh(sourceSession, targetSession),
          compare: async (point) =>
            comparisonStep(await compareDatabase(this.#work, { database: this.#name, ...point, inCutover: true })),
          onStep: (step, seconds) => journal.cutoverStep(this.#name, step, seconds),
        });
      } finally {
        await targetSession.end();
      }
    } finally {
      await sourceSession.end();
    }
  }

  async #refresh(source: Client, target: Client): Promise<void> {
    const { materializedViews } = this.#remainder;
    const context = await readRestoreContext(target, { sourceSearchPath: this.#remainder.sourceSearchPath });
    await reportFindings(
      this.#work,
      this.#name,
      await refreshMaterializedViews(source, target, materializedViews, context),
    );
  }

  /** @throws ConcurrentChangeError when the source's schema is not the one that was applied to the target */
  async #requireSchema(source: Client, before: string): Promise<void> {
    if ((await readSourceVersion(source)) === before) return;
    throw new ConcurrentChangeError(`the schema of ${this.#name} was altered on the source while it was cut over`, {
      remedy: "cut over when nothing alters the source's schema, or its privileges, every second",
      code: "603130",
    });
  }

  /** Retries a step, which has to be idempotent. */
  #retryDatabaseStep(run: () => Promise<void>, isOfUse?: () => boolean): Promise<void> {
    return retryDatabaseStep(this.#work, this.#name, run, isOfUse);
  }

  async #finish(): Promise<void> {
    const { spec, source, journal } = this.#work;
    const startedAt = performance.now();
    await this.stop();
    const target = await this.#connectTarget("finish");
    try {
      const { sourceSearchPath, handover, keptBack } = this.#remainder;
      const context = await readRestoreContext(target, { sourceSearchPath, resumed: true });
      if (keptBack) await this.#restoreFiring(target, keptBack, context);
      await reportFindings(this.#work, this.#name, await restoreEntries(target, handover, context));
      await this.#compareWithSource(target, context.missing);
      await dropProgress(target, spec.migrationName);
    } finally {
      await target.end();
    }
    for (const note of await dropSourceObjects(source, spec, this.#name))
      await journal.event(note, { database: this.#name, level: "warning" });
    await journal.database(this.#name, { slot: null, publications: [] });
    await journal.cutoverStep(this.#name, "clean up", (performance.now() - startedAt) / 1000);
  }

  /** Runs while the tables belong to the migration's role, before applications write. */
  async #restoreFiring(
    target: Client,
    { firing, firingValidations }: NonNullable<PostCutoverPlan["keptBack"]>,
    context: RestoreContext,
  ): Promise<void> {
    await this.#work.journal.database(this.#name, { message: "foreign keys, triggers and rules" });
    await reportFindings(this.#work, this.#name, await restoreEntries(target, firing, context));
    for (const validation of firingValidations)
      await reportFindings(this.#work, this.#name, await validateConstraint(target, validation, context));
  }

  /** Reads the source for the last time. */
  async #compareWithSource(target: Client, missing: ReadonlySet<string>): Promise<void> {
    const session = await this.#connectSource("compare");
    try {
      const without = new Set([...this.#remainder.without, ...missing]);
      const sessions = { database: this.#name, source: session, target };
      await compareSchemas(this.#work, { ...sessions, without });
      await nameDropped(this.#work, sessions, this.#remainder.mark?.definitions ?? {});
      await nameForeignOptions(this.#work, sessions);
      await carryConnectionLimit(session, target);
    } finally {
      await session.end();
    }
  }

  #follow(changes: Partial<FollowOptions> = {}): Follower {
    const { spec, source, target, generation, signal } = this.#work;
    return new Follower({
      source,
      target,
      database: this.#name,
      targetDatabase: targetDatabase(spec, this.#name),
      slot: changeCaptureNames(spec, this.#name).slot,
      publications: this.#remainder.publications,
      plugin: this.#remainder.plugin,
      tables: (session) => tablesInScope(session, spec),
      triggersDisabled: this.#remainder.keptBack !== undefined,
      searchPath: this.#remainder.sourceSearchPath,
      migration: spec.migrationName,
      generation,
      signal,
      reconnectForSeconds: spec.reconnectFor,
      onEvent: (event) => {
        if (event.kind === "streaming") this.#streams();
        if (event.kind === "lockTableFull") this.#report(() => this.#nameSetting(event));
        this.#report(() => this.#work.journal.event(describe(event), { database: this.#name }));
      },
      onProgress: (status) => this.#report(() => this.#work.journal.follow(this.#name, this.#reportOf(status))),
      ...changes,
    });
  }

  #nameSetting({ reason, remedy }: Extract<FollowEvent, { kind: "lockTableFull" }>): Promise<void> {
    const [message] = reason.split("\n");
    const object = "max_locks_per_transaction";
    return this.#work.journal.findings([
      {
        ...{ database: this.#name, type: "ServerParametersValidation", state: "Warning", object },
        ...{ objectType: "Instance", message: message!, remedy },
      },
    ]);
  }

  #reportOf(status: FollowStatus): FollowReport {
    const { inserts, updates, deletes, appliedChanges, incomingChanges, latencySeconds, pendingTransactions } = status;
    return {
      ...{ inserts, updates, deletes, appliedChanges, latencySeconds, pendingTransactions },
      incomingChanges: Math.max(incomingChanges, appliedChanges),
      lagBytes: status.lagBytes ?? 0,
      ...this.#rates.measure(status, Date.now()),
    };
  }

  /** Writes reports one after another, in the background. A lost report does not stop the stream. */
  #report(write: () => Promise<void>): void {
    this.#reporting = this.#reporting.then(write).catch((error: unknown) => {
      log.warn(`a report on ${this.#name} was lost: ${String(error)}`);
    });
  }

  async #connectSource(what: string): Promise<Client> {
    const { source } = this.#work;
    return connect(source, { database: this.#name, purpose: this.#purpose(what) });
  }

  async #connectTarget(what: string): Promise<Client> {
    const { target, spec } = this.#work;
    const database = targetDatabase(spec, this.#name);
    return connect(target, { database, purpose: this.#purpose(what) });
  }

  #purpose(what: string): string {
    return `${this.#work.spec.migrationName} ${what}`;
  }
}

function refuseUnlessEqual(verification: OnlineVerification | undefined): void {
  if (!verification || verification.state === "equal") return;
  const text = `not cut over: ${sentence(verification)}`;
  throw verification.state === "different" ? new ContentDiffersError(text) : new RefusedError(text);
}

function describe(event: FollowEvent): string {
  switch (event.kind) {
    case "streaming":
      return `following the source from ${event.from}`;
    case "backlog":
      return (
        `${formatBytes(event.bytes)} of the source's WAL have to be read` +
        (event.refused === undefined ? "" : `, by a walsender, which takes longer than SQL (${event.refused})`)
      );
    case "connectionLost":
      return `the connection was lost (${event.reason}); retrying in ${event.retryInMs / 1000} s`;
    case "lockTableFull":
      return event.reason;
    case "orderedBatch":
      return `a batch was applied one change at a time: ${event.reason}`;
    case "blocked":
      return `changes wait for a lock on the target: ${event.by}`;
  }
}
