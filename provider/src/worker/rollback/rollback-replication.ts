import { ChangeReporter, log } from "../../log.js";
import type { Client } from "pg";
import { Follower } from "../../cdc/follower.js";
import type { FollowStatus } from "../../cdc/follow-options.js";
import { type ChangeCaptureNames, pointSlot, rollbackNames, rollbackProgress } from "../../cdc/model/names.js";
import { rollbackRoles } from "../../cdc/model/stream-roles.js";
import { initProgress } from "../../cdc/target/progress.js";
import { createPublications } from "../../cdc/source/publication.js";
import { createSlot } from "../../cdc/source/slot.js";
import { carrySequences, type SequenceName } from "../../copy/sequences.js";
import { dropsOfExpressions } from "../../cutover/computed-columns.js";
import { cutOver, type PointToCompare } from "../../cutover/cut-over.js";
import { EngineError, RefusedError, TakenOverError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { qualify } from "../../postgres/identifiers.js";
import { limitLockWaits } from "../../postgres/locks/lock-waits.js";
import { listTables } from "../../postgres/tables.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { refreshMaterializedViews } from "../../schema/restore/materialized-views.js";
import { readRestoreContext } from "../../schema/restore/restore-context.js";
import type { RollbackStatus } from "../../status.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { ComparisonView, TableComparison } from "../../verify/compare-tables.js";
import { contentDiffers } from "../../verify/content-differs.js";
import { openToCompare } from "../../verify/open-to-compare.js";
import type { PostCutoverPlan } from "../initial-copy/post-cutover-plan.js";
import { reportFindings } from "../context/report-findings.js";
import { compareInCutover, comparisonStep, inWords, planComparison } from "../comparison/compare-database.js";
import { recordingProgress } from "../comparison/comparison-progress.js";
import { objectsNotReplicated } from "./objects-not-replicated.js";
import { delay } from "../../async/delay.js";
import { PeriodicTask } from "../../async/periodic-task.js";
import { SerialQueue } from "../../async/serial-queue.js";
import { retryDatabaseStep } from "../context/retry.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { queueReporter } from "../monitoring/queued-snapshot.js";
import { DatabaseFence, fencedDatabase, removeFence } from "../cleanup/database-fence.js";
import { clearRollback, placesOf, removeRollback } from "../cleanup/rollback-objects.js";
import { RetainedWalMonitor } from "../monitoring/retained-wal-monitor.js";
import { replicaTriggerGaps } from "../../validation/replication/replica-triggers.js";
import { rollbackGaps, rolesToTrust } from "../../validation/replication/rollback.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Work } from "../context/work.js";

const { publisher, subscriber } = rollbackRoles;
const retryMs = 5000;
const restartCheckMs = 500;
const carrySequencesEveryMs = 10_000;
/** How far the source's sequences are kept ahead of the target's, which continue to advance. */
const sequenceMargin = 1000;

/**
 * The stream from the target to the source after the cutover of a database. It uses the same engine, with the servers' roles
 * exchanged. It starts after the stream from the source ended and its slot was dropped, so that no change is replicated in a
 * circle. A change that the source refuses pauses it, because the succeeded migration must not fail afterwards.
 */
export class RollbackReplication {
  /** Rejects with an error that ends the worker. Never resolves. */
  readonly failure: Promise<never>;
  readonly #work: Work;
  readonly #record: DatabaseRecord;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  /** Keeps the source's sequences ahead until a return sets them to the target's values. */
  readonly #sequenceKeeper: PeriodicTask;
  readonly #walMonitor: RetainedWalMonitor;
  /** Fence of the target during a return. */
  readonly #fence: DatabaseFence;
  #fail: (error: unknown) => void = () => undefined;
  #follower: Follower;
  readonly #reports = new SerialQueue();
  #runningState: "following" | "returning" = "following";
  /** Why the follower was stopped until the source is altered. */
  #stoppedFor: RefusedError | undefined;

  /**
   * Starts the rollback replication: every later write on the target is applied to the source. Applications must not write
   * on the target before. Replaces the objects of an earlier attempt.
   *
   * @throws RefusedError if a server refuses
   */
  static async open(work: Work, { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">): Promise<void> {
    const { spec, source, target, journal, generation, signal } = work;
    await requireRollback(work, name);
    await journal.database(name, { message: "starting the rollback replication" });
    await journal.rollbackReplication(name, { state: "opening" });
    await removeRollback(placesOf(work, { name, targetName }));
    const names = rollbackNames(spec, name);
    await withSession(source, { database: name, purpose: `${spec.migrationName} rollback` }, async (session) => {
      await journal.findings(await rolesToTrust(session, name, spec));
      await publish(work, { name, targetName }, session);
      const { release, ...slot } = await createSlot({
        source: target,
        database: targetName,
        slot: names.slot,
        plugin: "pgoutput",
        publisher,
        signal,
      });
      await release();
      await initProgress(session, rollbackProgress(spec.migrationName), generation, slot);
    });
    await journal.event("new writes on the target are now applied to the source", { database: name });
  }

  constructor(work: Work, record: DatabaseRecord) {
    this.#work = work;
    this.#record = record;
    this.#fence = new DatabaseFence(work, record, "target");
    this.failure = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // Prevents an unhandled rejection while nothing awaits it.
    this.failure.catch(() => undefined);
    this.#follower = this.#follow();
    this.#running = this.#restartFollowers().catch((error: unknown) => this.#fail(error));
    const warn = (error: unknown): void => this.#warnOfSequences(error);
    this.#sequenceKeeper = new PeriodicTask({
      everyMs: carrySequencesEveryMs,
      run: () => this.#carrySequencesAhead().catch(warn),
      onFailure: warn,
    });
    this.#walMonitor = new RetainedWalMonitor({
      server: work.target,
      side: "target",
      database: record.name,
      slotDatabase: record.targetName,
      slot: rollbackNames(work.spec, record.name).slot,
      journal: work.journal,
      spec: () => work.spec,
      warnOnlyRemedy:
        "rollbackReplication in dbDetails shows why the source is behind; set rollback to drop, which frees the disk of the target, or to return",
    });
  }

  /** Removes the fence that an earlier worker raised for a return, if the user no longer requests the return. */
  takeDownFence(): Promise<void> {
    return this.#fence.takeDown();
  }

  /** Ends the rollback replication. The source stays as it is. */
  async drop(): Promise<void> {
    await this.close();
    await retryDatabaseStep(this.#work, this.#record.name, () => clearRollback(this.#work, this.#record));
    await this.#work.journal.database(this.#record.name, { phase: "done", state: "Succeeded", message: null });
  }

  /**
   * Returns to the source: applies all changes of the target, compares, and ends the rollback replication. Retries after a
   * connection loss. After a failure this is closed, and another instance may continue.
   *
   * @throws ContentDiffersError; RefusedError while the rollback replication is paused
   */
  async returnToSource(): Promise<void> {
    const { journal } = this.#work;
    const { name } = this.#record;
    this.#runningState = "returning";
    // An earlier report must not overwrite this state.
    await this.#reports.idle();
    await journal.rollbackReplication(name, { ...this.#report(), state: "returning" });
    await this.#sequenceKeeper.close();
    try {
      await this.#fence.takeDownOnFailure(() => retryDatabaseStep(this.#work, name, () => this.#cutBack()));
    } catch (error) {
      await this.close();
      const message = `the return failed: ${messageOf(error)}`;
      this.#write(() => journal.rollbackReplication(name, { ...this.#report(), state: "paused", message }));
      throw error;
    }
    // From here on applications may write on the source. Another run of the earlier steps could overwrite that.
    await journal.database(name, { phase: "returned", state: "InProgress", message: "cleaning up" });
    await this.close();
    await RollbackReplication.finishReturn(this.#work, this.#record);
  }

  /** Completes a return after its LSN was reached. Idempotent: a successor may repeat it. */
  static async finishReturn(work: Work, record: DatabaseRecord): Promise<void> {
    const { source, journal } = work;
    const { name, fences } = record;
    await retryDatabaseStep(work, name, async () => {
      // A single attempt, because retryDatabaseStep repeats it.
      if (fences.source) await removeFence(source, fencedDatabase(record, "source"), fences.source, 0);
      await journal.fence(name, "source", null);
      await clearRollback(work, record);
    });
    const message = "returned to the source, which has all writes of the target";
    await journal.database(name, { phase: "done", state: "Canceled", message });
    await journal.event(message, { database: name });
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#follower.stop();
    await this.#running;
    await this.#sequenceKeeper.close();
    await this.#walMonitor.close();
    await this.#reports.idle();
  }

  #follow(): Follower {
    const { spec, source, target, generation, signal, journal } = this.#work;
    const { name, targetName } = this.#record;
    const names = rollbackNames(spec, name);
    return new Follower({
      source: target,
      target: source,
      database: targetName,
      targetDatabase: name,
      slot: names.slot,
      publications: publicationsOf(names),
      migration: rollbackProgress(spec.migrationName),
      generation,
      signal,
      reconnectForSeconds: spec.reconnectFor,
      parts: rollbackRoles,
      searchPath: (this.#record.deferredPlan as PostCutoverPlan).sourceSearchPath,
      onProgress: (status) => {
        if (status.state !== "streaming") return;
        this.#write(() => journal.rollbackReplication(name, { ...reportOf(status), state: this.#runningState }));
      },
    });
  }

  /** Replaces a failed follower: a change that the source refuses is retried until the source accepts it. */
  async #restartFollowers(): Promise<void> {
    const { journal } = this.#work;
    const pauses = new ChangeReporter();
    while (!this.#isStopped()) {
      try {
        await this.#follower.finished;
        // The worker or close() stopped it.
        if (!this.#stoppedFor) return;
        throw this.#stoppedFor;
      } catch (error) {
        if (this.#isStopped()) return;
        if (error instanceof TakenOverError || error instanceof EngineError) throw error;
        const message = messageOf(error);
        this.#write(() =>
          journal.rollbackReplication(this.#record.name, { ...this.#report(), state: "paused", message }),
        );
        if (pauses.isNew(message))
          await journal.event(`the rollback replication is paused: ${message}`, {
            database: this.#record.name,
            level: "warning",
          });
        await delay(retryMs, this.#stopped.signal);
        if (!this.#isStopped() && (await this.#mayFollow()) && !this.#stoppedFor) this.#follower = this.#follow();
      }
    }
  }

  /** Whether the source no longer has the trigger for which the follower was stopped. */
  async #mayFollow(): Promise<boolean> {
    if (!this.#stoppedFor) return true;
    const { spec, source } = this.#work;
    const session = { database: this.#record.name, purpose: `${spec.migrationName} rollback` };
    const firing = await withSession(source, session, (client) => firingOnSource(client, spec)).catch(
      () => this.#stoppedFor,
    );
    if (!this.#isStopped()) this.#stoppedFor = firing;
    return firing === undefined;
  }

  /** Stops the follower if a trigger or rule was created on the source that fires for its changes. Returns why. */
  async #stopForTriggers(source: Client): Promise<RefusedError | undefined> {
    const firing = await firingOnSource(source, this.#work.spec);
    if (!firing) return undefined;
    const isStopped = this.#stoppedFor !== undefined;
    this.#stoppedFor = firing;
    if (!isStopped) await this.#follower.stop();
    return firing;
  }

  /** After the trigger was dropped, the follower starts again within seconds. @throws RefusedError naming the triggers */
  async #requireFollower(source: Client): Promise<void> {
    const { signal } = this.#work;
    for (;;) {
      const firing = await this.#stopForTriggers(source);
      if (firing) throw firing;
      if (!this.#stoppedFor) return;
      await Promise.race([delay(restartCheckMs, signal), this.failure]);
      signal.throwIfAborted();
    }
  }

  /** An application that starts on the source must not get sequence values that the target used. */
  async #carrySequencesAhead(): Promise<void> {
    await this.#withSessions(async (target, source) => {
      await this.#stopForTriggers(source);
      await carryBack(target, source, sequenceMargin);
    });
  }

  /** Only logged: the stream reports an unreachable server, and the return carries the sequences again. */
  #warnOfSequences(error: unknown): void {
    log.warn(`${this.#record.name}: cannot carry sequences back to the source: ${messageOf(error)}`);
  }

  async #cutBack(): Promise<void> {
    const { target, signal, journal, spec } = this.#work;
    const { name, targetName } = this.#record;
    const names = rollbackNames(spec, name);
    const slot = pointSlot(names);
    const publications = publicationsOf(names);
    await this.#withSessions(async (targetSession, sourceSession) => {
      await this.#requireFollower(sourceSession);
      const hasSequence = await sequencesOf(sourceSession);
      await reportFindings(this.#work, name, await objectsNotReplicated(targetSession, publications));
      await cutOver({
        source: target,
        database: targetName,
        slot,
        plugin: "pgoutput",
        follower: this.#follower,
        signal,
        publisher,
        sourceSession: targetSession,
        targetSession: sourceSession,
        onWaiting: blockerReporter(this.#work, name, publisher),
        onQueued: queueReporter(this.#work, name),
        hasSequence,
        sequenceMargin: 0,
        onSequences: (sequences) => journal.sequences(name, "source", sequences),
        putUpFence: spec.fence === "readOnly" ? () => this.#fence.putUp() : undefined,
        onEscapedChanges: (changes) => this.#fence.reportEscapedChanges(changes),
        requireSchema: async () => {
          const statements = await dropsOfExpressions(targetSession, sourceSession, publications);
          if (statements.length > 0) refuseComputed(name, statements);
        },
        refreshMaterializedViews: () => this.#refreshViews(targetSession, sourceSession),
        compare: (point) => this.#compare(point),
        onStep: (step, seconds) => journal.cutoverStep(name, `return: ${step}`, seconds),
      });
    });
  }

  async #refreshViews(target: Client, source: Client): Promise<void> {
    const { materializedViews, sourceSearchPath } = this.#record.deferredPlan as PostCutoverPlan;
    const context = await readRestoreContext(source, { sourceSearchPath });
    const findings = await refreshMaterializedViews(target, source, materializedViews, context);
    await reportFindings(this.#work, this.#record.name, findings);
  }

  /** Compares the source, on which nothing is written, with the target at the LSN of the return. */
  async #compare({ lsn, snapshotId, ...when }: PointToCompare): Promise<string> {
    const { spec, source, target, journal, tableSlots } = this.#work;
    const { name, targetName } = this.#record;
    if (spec.verification === "none") return comparisonStep([]);
    const purpose = `${spec.migrationName} compare`;
    const onTarget = { endpoint: target, database: targetName, purpose, snapshotId };
    const onSource = { endpoint: source, database: name, purpose };
    const openTarget = async (view: ComparisonView) => limitLockWaits(await openToCompare(onTarget, view));
    const openSource = async (view: ComparisonView) => limitLockWaits(await openToCompare(onSource, view));
    const session = await openSource("present");
    const replicated = await replicatedTables(session).finally(() => session.end());
    const { tables, searchPath } = await planComparison(this.#work, openTarget, true);
    const results = await recordingProgress(journal, name, (onProgress) =>
      compareInCutover(spec, {
        openSource: openTarget,
        openTarget: openSource,
        underSnapshots: ["source"],
        searchPath,
        jobs: tableSlots.limit(),
        onProgress,
        ...when,
        sideNames: { source: publisher, target: subscriber },
        tables: tables.filter(({ table }) => replicated.has(qualify(table.schema, table.name))),
      }),
    );
    const seen = results.map(seenFromSource);
    await journal.comparisons(name, seen, { occasion: "return", lsn });
    const difference = contentDiffers(name, seen);
    if (difference) throw difference;
    await journal.event(`before the return: ${inWords(results)}, all equal`, { database: name });
    return comparisonStep(results);
  }

  #withSessions(run: (target: Client, source: Client) => Promise<void>): Promise<void> {
    const { spec, source, target } = this.#work;
    const purpose = `${spec.migrationName} rollback`;
    const { name, targetName } = this.#record;
    return withTwoSessions(
      () => connect(target, { database: targetName, purpose }),
      () => connect(source, { database: name, purpose }),
      run,
    );
  }

  #report(): Omit<RollbackStatus, "state"> {
    return reportOf(this.#follower.status());
  }

  /** Writes to the records in the background, one after another. If the lease is lost, other writes end the worker. */
  #write(write: () => Promise<void>): void {
    this.#reports.run(write).catch((error: unknown) => {
      log.warn(`${this.#record.name}: cannot record the state of the rollback replication: ${messageOf(error)}`);
    });
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }
}

/** The error for triggers and rules of the source that fire for applied changes; undefined if there are none. */
async function firingOnSource(source: Client, spec: MigrationSpec): Promise<RefusedError | undefined> {
  const gaps = await replicaTriggerGaps(source, spec);
  if (gaps.length === 0) return undefined;
  return new RefusedError(gaps.map(({ message }) => message).join("; "), {
    remedy: gaps.map(({ remedy }) => remedy).join("; "),
    code: "PGM-605",
  });
}

/** Checks before a cutover whether a rollback replication is possible. @throws RefusedError with all problems */
export async function requireRollback({ spec, source, target }: Work, database: string): Promise<void> {
  const purpose = `${spec.migrationName} rollback`;
  const gaps = await withTwoSessions(
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database, purpose }),
    async (targetSession, sourceSession) => [
      ...(await rollbackGaps(sourceSession, targetSession, spec)),
      ...(await replicaTriggerGaps(sourceSession, spec)),
    ],
  );
  if (gaps.length === 0) return;
  throw new RefusedError(
    `cannot keep a rollback replication for ${database}: ${gaps.map(({ message }) => message).join("; ")}`,
    {
      remedy: `${gaps.map(({ remedy }) => remedy).join("; ")}; or set rollback to drop`,
    },
  );
}

/** Publishes the tables that exist on both servers. Keyless tables get REPLICA IDENTITY FULL. */
async function publish(
  { spec, target }: Work,
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
  source: Client,
): Promise<void> {
  await withSession(target, { database: targetName, purpose: `${spec.migrationName} publish` }, async (session) => {
    const replicated = await replicatedTables(source);
    const tables = (await listTables(session)).filter(
      (table) => !table.extensionConfiguration && replicated.has(qualify(table.schema, table.name)),
    );
    await createPublications(session, rollbackNames(spec, name), tables, { keyless: "full" });
  });
}

/** Qualified names of the source's tables that are replicated. */
async function replicatedTables(source: Client): Promise<Set<string>> {
  const tables = (await listTables(source)).filter((table) => !table.unlogged && !table.extensionConfiguration);
  return new Set(tables.map(({ schema, name }) => qualify(schema, name)));
}

async function carryBack(target: Client, source: Client, margin: number): Promise<void> {
  await carrySequences(target, source, { margin, only: await sequencesOf(source) });
}

async function sequencesOf(source: Client): Promise<(sequence: SequenceName) => boolean> {
  const { rows } = await source.query<SequenceName>(
    "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'",
  );
  const names = new Set(rows.map(({ schema, name }) => qualify(schema, name)));
  return ({ schema, name }) => names.has(qualify(schema, name));
}

const publicationsOf = ({ publication, insertOnlyPublication }: ChangeCaptureNames): string[] => [
  publication,
  insertOnlyPublication,
];

/**
 * Schema changes of the target are not replicated. The source computed these columns itself, and the stream no longer has the
 * target's values.
 */
function refuseComputed(database: string, statements: readonly string[]): never {
  throw new RefusedError(
    `${database} cannot be returned: columns are generated on the source, but were altered on the target, which now stores values in them`,
    {
      remedy: `on the source, in ${database}: ${statements.join("; ")}; then copy the values of these columns from the target and return again, or set rollback to drop`,
      code: "PGM-503",
    },
  );
}

/** Exchanges the sides of a result: the comparison ran from target to source, and users know them by their roles in the migration. */
const seenFromSource = (one: TableComparison): TableComparison => ({
  ...one,
  sourceRows: one.targetRows,
  targetRows: one.sourceRows,
  firstDifferences: one.firstDifferences.map(({ key, kind }) => ({
    key,
    kind: kind === "different" ? kind : kind === "missing" ? "unexpected" : "missing",
  })),
});

const reportOf = ({
  inserts,
  updates,
  deletes,
  latencySeconds,
  lagBytes,
}: FollowStatus): Omit<RollbackStatus, "state"> => ({
  inserts,
  updates,
  deletes,
  latencySeconds,
  ...(lagBytes === undefined ? {} : { lagBytes }),
});
