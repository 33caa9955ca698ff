import { log } from "../../log.js";
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
import { retryDatabaseStep } from "../context/retry.js";
import { blockerReporter } from "../monitoring/blocker-finding.js";
import { DatabaseFence, fencedDatabase, removeFence } from "../cleanup/database-fence.js";
import { clearRollback, placesOf, removeRollback } from "../cleanup/rollback-objects.js";
import { RetainedWalMonitor } from "../monitoring/retained-wal-monitor.js";
import { rollbackGaps } from "../../validation/replication/rollback.js";
import type { Work } from "../context/work.js";

const { publisher, subscriber } = rollbackRoles;
const tryAgainMs = 5000;
const carrySequencesEveryMs = 10_000;
/** So far the source's sequences are ahead of the target's, whose values go on being handed out. */
const sequenceMargin = 1000;

/**
 * The stream from the target back to the source, once a database has been cut over: the same engine, with the servers'
 * parts exchanged. It begins when the stream from the source has ended and its slot is dropped, so nothing goes round.
 * What the source cannot take pauses it: the migration itself has succeeded, and must not fail by it.
 */
export class RollbackReplication {
  /** Rejects with what a worker ends by; never resolves. */
  readonly failure: Promise<never>;
  readonly #work: Work;
  readonly #record: DatabaseRecord;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  /** Aborts when the source's sequences are to be the target's, and not ahead. */
  readonly #noLongerAhead = new AbortController();
  readonly #keepingAhead: Promise<void>;
  readonly #guard: RetainedWalMonitor;
  /** Around the target, once it is returned from. */
  readonly #fence: DatabaseFence;
  #fail: (error: unknown) => void = () => undefined;
  #follower: Follower;
  #reporting = Promise.resolve();
  #whileItRuns: "following" | "returning" = "following";

  /**
   * Opens the way back of a database of which nothing is written on the target yet but by ourselves: what is written
   * from now on arrives on the source. What a worker that died here has left is made anew.
   *
   * @throws RefusedError where a server does not let it
   */
  static async open(work: Work, { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">): Promise<void> {
    const { spec, source, target, journal, generation, signal } = work;
    await requireRollback(work, name);
    await journal.database(name, { message: "opening the way back" });
    await journal.rollbackReplication(name, { state: "opening" });
    await removeRollback(placesOf(work, { name, targetName }));
    const names = rollbackNames(spec, name);
    const onSource = await connect(source, { database: name, purpose: `${spec.migrationName} way back` });
    try {
      await publish(work, { name, targetName }, onSource);
      const { release, ...slot } = await createSlot({
        ...{ source: target, database: targetName, slot: names.slot, plugin: "pgoutput", publisher, signal },
      });
      await release();
      await initProgress(onSource, rollbackProgress(spec.migrationName), generation, slot);
    } finally {
      await onSource.end();
    }
    await journal.event("what is written on the target from now on is applied to the source", { database: name });
  }

  constructor(work: Work, record: DatabaseRecord) {
    this.#work = work;
    this.#record = record;
    this.#fence = new DatabaseFence(work, record, "target");
    this.failure = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // For those who race it; one who does not must not lose the process by it.
    this.failure.catch(() => undefined);
    this.#follower = this.#follow();
    this.#running = this.#live().catch((error: unknown) => this.#fail(error));
    this.#keepingAhead = this.#keepSequencesAhead();
    this.#guard = new RetainedWalMonitor({
      ...{ server: work.target, side: "target", database: record.name, slotDatabase: record.targetName },
      slot: rollbackNames(work.spec, record.name).slot,
      ...{ journal: work.journal, spec: () => work.spec },
      onlyWarns:
        "see rollbackReplication in dbDetails why the source is behind; set rollback to drop, which gives the target its disk back, or to return",
    });
  }

  /** Takes down the fence that a worker has left whose return is not asked for any more. */
  takeDownFence(): Promise<void> {
    return this.#fence.takeDown();
  }

  /** Ends it: the source stays as it is by then. */
  async drop(): Promise<void> {
    await this.stop();
    await retryDatabaseStep(this.#work, this.#record.name, () => clearRollback(this.#work, this.#record));
    await this.#work.journal.database(this.#record.name, { phase: "done", state: "Succeeded", message: null });
  }

  /**
   * Brings the source to just what the target has, compares, and ends the way back. A connection that is lost is ridden
   * out; a step that fails leaves it as it was.
   *
   * @throws ContentDiffersError; RefusedError while the way back is paused
   */
  async take(): Promise<void> {
    const { journal } = this.#work;
    const { name } = this.#record;
    this.#whileItRuns = "returning";
    // What was said before may be on its way still.
    await this.#reporting;
    await journal.rollbackReplication(name, { ...this.#report(), state: "returning" });
    await this.#endKeepingAhead();
    await this.#fence.downIfItFails(() => retryDatabaseStep(this.#work, name, () => this.#reachPoint()));
    // From here on the source stands for itself: to carry anything over once more could undo what it is written.
    await journal.database(name, { phase: "returned", state: "InProgress", message: "cleaning up" });
    await this.stop();
    await RollbackReplication.finishReturn(this.#work, this.#record);
  }

  /** The end of a return whose point has been reached, by whichever worker; idempotent. */
  static async finishReturn(work: Work, record: DatabaseRecord): Promise<void> {
    const { source, journal } = work;
    const { name, fences } = record;
    await retryDatabaseStep(work, name, async () => {
      // Once each time: whoever rides it out has the patience.
      if (fences.source) await removeFence(source, fencedDatabase(record, "source"), fences.source, 0);
      await journal.fence(name, "source", null);
      await clearRollback(work, record);
    });
    const message = "returned to the source, which has all that was written on the target";
    await journal.database(name, { phase: "done", state: "Canceled", message });
    await journal.event(message, { database: name });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#follower.stop();
    await this.#running;
    await this.#endKeepingAhead();
    await this.#guard.stop();
    await this.#reporting;
  }

  #follow(): Follower {
    const { spec, source, target, generation, signal, journal } = this.#work;
    const { name, targetName } = this.#record;
    const names = rollbackNames(spec, name);
    return new Follower({
      ...{ source: target, target: source, database: targetName, targetDatabase: name },
      ...{ slot: names.slot, publications: publicationsOf(names) },
      ...{ migration: rollbackProgress(spec.migrationName), generation, signal },
      ...{ reconnectForSeconds: spec.reconnectFor, parts: rollbackRoles },
      searchPath: (this.#record.deferredPlan as PostCutoverPlan).sourceSearchPath,
      onProgress: (status) => {
        if (status.state !== "streaming") return;
        this.#write(() => journal.rollbackReplication(name, { ...reportOf(status), state: this.#whileItRuns }));
      },
    });
  }

  /** From follower to follower: a change that the source cannot take is tried until it can, or nobody wants it any more. */
  async #live(): Promise<void> {
    const { journal } = this.#work;
    let said = "";
    while (!this.#isStopped()) {
      try {
        await this.#follower.finished;
        // It was told to end, with the worker or by us.
        return;
      } catch (error) {
        if (this.#isStopped()) return;
        if (error instanceof TakenOverError || error instanceof EngineError) throw error;
        const message = messageOf(error);
        this.#write(() =>
          journal.rollbackReplication(this.#record.name, { ...this.#report(), state: "paused", message }),
        );
        if (message !== said)
          await journal.event(`the way back is paused: ${message}`, { database: this.#record.name, level: "warning" });
        said = message;
        await delay(tryAgainMs, this.#stopped.signal);
        if (!this.#isStopped()) this.#follower = this.#follow();
      }
    }
  }

  /** An application that starts on the source, for whatever reason, must not be handed values that the target has used. */
  async #keepSequencesAhead(): Promise<void> {
    const { signal } = this.#noLongerAhead;
    while (!signal.aborted) {
      try {
        await this.#withSessions((target, source) => carryBack(target, source, sequenceMargin));
      } catch (error) {
        // The stream tells of a server that is away, and the return carries them once more.
        log.warn(`${this.#record.name}: sequences could not be carried back: ${messageOf(error)}`);
      }
      await delay(carrySequencesEveryMs, signal);
    }
  }

  async #endKeepingAhead(): Promise<void> {
    this.#noLongerAhead.abort();
    await this.#keepingAhead;
  }

  async #reachPoint(): Promise<void> {
    const { target, signal, journal, spec } = this.#work;
    const { name, targetName } = this.#record;
    const names = rollbackNames(spec, name);
    const slot = pointSlot(names);
    const publications = publicationsOf(names);
    await this.#withSessions(async (targetSession, sourceSession) => {
      const there = await sequencesOf(sourceSession);
      await reportFindings(this.#work, name, await objectsNotReplicated(targetSession, publications));
      await cutOver({
        ...{
          source: target,
          database: targetName,
          slot,
          plugin: "pgoutput",
          follower: this.#follower,
          signal,
          publisher,
        },
        ...{ sourceSession: targetSession, targetSession: sourceSession },
        onWaiting: blockerReporter(this.#work, name, publisher),
        hasSequence: there,
        sequenceMargin: 0,
        putUpFence: spec.fence === "readOnly" ? () => this.#fence.putUp() : undefined,
        onEscapedChanges: (changes) => this.#fence.tellEscaped(changes),
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

  /** The source, which rests, with the target as it was at the point. */
  async #compare({ snapshotId, ...when }: PointToCompare): Promise<string> {
    const { spec, source, target, journal, tableSlots } = this.#work;
    const { name, targetName } = this.#record;
    if (spec.verification === "none") return comparisonStep([]);
    const purpose = `${spec.migrationName} compare`;
    const onTarget = { endpoint: target, database: targetName, purpose, snapshotId };
    const onSource = { endpoint: source, database: name, purpose };
    const openTarget = async (view: ComparisonView) => limitLockWaits(await openToCompare(onTarget, view));
    const openSource = async (view: ComparisonView) => limitLockWaits(await openToCompare(onSource, view));
    const session = await openSource("present");
    const there = await followedNames(session).finally(() => session.end());
    const { tables, searchPath } = await planComparison(this.#work, openTarget, true);
    const results = await recordingProgress(journal, name, (onProgress) =>
      compareInCutover(spec, {
        ...{ openSource: openTarget, openTarget: openSource, underSnapshots: ["source"], searchPath },
        ...{ jobs: tableSlots.limit(), onProgress, ...when, sideNames: { source: publisher, target: subscriber } },
        tables: tables.filter(({ table }) => there.has(qualify(table.schema, table.name))),
      }),
    );
    const difference = contentDiffers(name, results.map(seenFromSource));
    if (difference) throw difference;
    await journal.event(`before the return: ${inWords(results)}, all equal`, { database: name });
    return comparisonStep(results);
  }

  #withSessions(run: (target: Client, source: Client) => Promise<void>): Promise<void> {
    const { spec, source, target } = this.#work;
    const purpose = `${spec.migrationName} way back`;
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

  /** One after another, in the background. Failing to write is the lease's business, which ends the worker. */
  #write(write: () => Promise<void>): void {
    this.#reporting = this.#reporting.then(write).catch((error: unknown) => {
      log.warn(`a report on ${this.#record.name} is lost: ${messageOf(error)}`);
    });
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }
}

/** Before a cutover that is to keep one. @throws RefusedError naming all that stands against it */
export async function requireRollback({ spec, source, target }: Work, database: string): Promise<void> {
  const purpose = `${spec.migrationName} way back`;
  const gaps = await withTwoSessions(
    () => connect(target, { database: spec.maintenanceDatabase, purpose }),
    () => connect(source, { database, purpose }),
    (onTarget, onSource) => rollbackGaps(onSource, onTarget, spec),
  );
  if (gaps.length === 0) return;
  throw new RefusedError(`no way back can be kept for ${database}: ${gaps.map(({ message }) => message).join("; ")}`, {
    remedy: `${gaps.map(({ remedy }) => remedy).join("; ")}; or set rollback to drop`,
  });
}

/** Publishes on the target what the source has; rows without an identity by all of their columns. */
async function publish(
  { spec, target }: Work,
  { name, targetName }: Pick<DatabaseRecord, "name" | "targetName">,
  onSource: Client,
): Promise<void> {
  const session = await connect(target, { database: targetName, purpose: `${spec.migrationName} publish` });
  try {
    const there = await followedNames(onSource);
    const tables = (await listTables(session)).filter(
      (table) => !table.extensionConfiguration && there.has(qualify(table.schema, table.name)),
    );
    await createPublications(session, rollbackNames(spec, name), tables, { keyless: "full" });
  } finally {
    await session.end();
  }
}

async function followedNames(source: Client): Promise<Set<string>> {
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
 * Nobody follows the target's schema: what the source has computed instead of taking it is not to be had from the
 * stream any more.
 */
function refuseComputed(database: string, statements: readonly string[]): never {
  throw new RefusedError(
    `${database} cannot be returned: columns are generated on the source and written on the target, where they were altered since`,
    {
      remedy: `on the source, in ${database}: ${statements.join("; ")}; and give these columns the values that they have on the target, which the way back could not; then return again, or set rollback to drop`,
      code: "603130",
    },
  );
}

/** The comparison was made with the sides exchanged; people know them by their parts in the migration. */
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
  ...{ inserts, updates, deletes, latencySeconds },
  ...(lagBytes === undefined ? {} : { lagBytes }),
});
