import type { Client } from "pg";
import { openInSnapshot } from "../../copy/snapshot.js";
import { EngineError, RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import type { RestoreContext } from "../../schema/restore/restore-context.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import { restoreTogether } from "../../schema/restore/restore-batches.js";
import { restoreEntry } from "../../schema/restore/restore-entry.js";
import type {
  CompletedCopyTask,
  CopyTask,
  Counts,
  Returned,
  Skipped,
  TargetSession,
} from "../../store/copy-tasks/copy-task.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { Notifier } from "../../async/notifier.js";
import { delay } from "../../async/delay.js";
import { type CopyTaskRun, isTaskFailure } from "./copy-task-run.js";
import { TableCopier, type TableSessions } from "./table-copier.js";
import { TableLocks } from "./table-locks.js";

/** Steps that only the leader runs, while helpers may execute tasks, too. */
export interface LeaderHooks {
  /** Runs concurrently with the tables. Its signal aborts when a task fails. */
  readonly alongside: (signal: AbortSignal) => Promise<void>;
  readonly onTakenBack: (returned: Returned) => Promise<void>;
}

/** Pause between two checks of the other workers' progress. */
const checkEveryMs = 500;
/** Every nth check also looks for tasks of killed workers. */
const checksPerRecovery = 10;
/** A helper that does not check for this long is considered dead. Even a busy machine does not take as long. */
const silentForSeconds = 120;

/**
 * Copies tables, and builds the indexes of each table as soon as its rows are copied. Resolves when every task is complete,
 * including those of other workers. The first failure stops everything.
 */
export async function runCopyTasks(options: CopyTaskRun, lead?: LeaderHooks): Promise<void> {
  const { work, database, snapshotId } = options;
  const isOnline = snapshotId !== undefined && work.spec.migrationMode === "Online";
  const locks = isOnline ? new TableLocks(work.source, database) : undefined;
  try {
    const copy = (): Promise<void> => new CopyTasks(options, lead, locks).run();
    // Nothing is left to be read without a snapshot.
    await (snapshotId === undefined ? copy() : work.replicaLag.during(database, copy, options.onSlowedDown));
  } finally {
    await locks?.close();
  }
}

class CopyTasks {
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #copier: TableCopier;
  readonly #over = new AbortController();
  readonly #notifier = new Notifier();
  #total: Counts = { tables: 0, indexes: 0 };
  #byOthers: Counts = { tables: 0, indexes: 0 };
  #catalogues: Promise<void> | undefined;
  #copied = 0;
  #built = 0;

  constructor(
    readonly options: CopyTaskRun,
    readonly lead: LeaderHooks | undefined,
    locks: TableLocks | undefined,
  ) {
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#copier = new TableCopier(options, this.#signal, locks);
  }

  async run(): Promise<void> {
    const { work, tasks } = this.options;
    const [tableJobs, indexJobs] = [work.tableSlots.limit(), work.indexSlots.limit()];
    // Own tasks were completed by an earlier attempt of this worker.
    const { counts } = tasks;
    const [total, own, byOthers] = await Promise.all([
      counts.total(),
      counts.completedHere(),
      counts.completedByOthers(),
    ]);
    [this.#total, this.#byOthers] = [total, byOthers];
    [this.#copied, this.#built] = [own.tables, own.indexes];
    // Helpers that start together do not see each other's claims yet.
    await this.#shareRate(work.spec.workers);
    const wake = (): void => this.#notifier.notify();
    this.#signal.addEventListener("abort", wake);
    const alongside = this.lead?.alongside(this.#signal) ?? Promise.resolve();
    const watch = this.#failing(this.#watch()).catch(() => undefined);
    const steps = [
      ...this.#runners(Math.min(tableJobs, this.#openTables), () => this.#copyTables()),
      ...this.#runners(Math.min(indexJobs, this.#openIndexes), () => this.#buildIndexes()),
      alongside,
      this.#afterTables(alongside),
    ];
    await Promise.allSettled(steps.map((step) => this.#failing(step)));
    this.#over.abort();
    await watch;
    this.#signal.removeEventListener("abort", wake);
    work.copyRate.processes = 1;
    this.#signal.throwIfAborted();
    await this.#shareRate();
  }

  /** Divides the limit among the processes that copy now. */
  async #shareRate(least = 1): Promise<void> {
    const { work, tasks } = this.options;
    // Without a limit, the number is estimated: a limit may be set before the next check.
    const others = work.spec.maxCopyRate === undefined ? work.spec.workers - 1 : await tasks.counts.othersCopying();
    work.copyRate.processes = Math.max(least, 1 + others);
  }

  #runners(jobs: number, runner: () => Promise<void>): Promise<void>[] {
    return Array.from({ length: jobs }, runner);
  }

  async #failing(step: Promise<void>): Promise<void> {
    try {
      await step;
    } catch (error) {
      this.#failed.abort(error);
      throw error;
    }
  }

  get #openTables(): number {
    return this.#total.tables - this.#copied - this.#byOthers.tables;
  }

  get #openIndexes(): number {
    return this.#total.indexes - this.#built - this.#byOthers.indexes;
  }

  /** Opens a session in the snapshot and one on the target. */
  #inSessions(purpose: string, run: (sessions: TableSessions) => Promise<void>): Promise<void> {
    return withTwoSessions(
      () => this.#openSource(purpose),
      () => this.#connectTarget(purpose),
      (source, target) => run({ source, target }),
    );
  }

  /** Follows the progress of other workers. The leader takes back tasks of lost workers. */
  async #watch(): Promise<void> {
    const { tasks } = this.options;
    for (let check = 1; ; check++) {
      await delay(checkEveryMs, this.#over.signal);
      if (this.#over.signal.aborted || this.#signal.aborted) return;
      if (this.lead) await this.#takeBack(this.lead, check % checksPerRecovery === 0);
      this.#byOthers = await tasks.counts.completedByOthers();
      await this.#shareRate();
      const failure = await tasks.failureOfOthers();
      if (failure !== undefined) throw new RefusedError(failure.message, { cause: failure });
      this.#notifier.notify();
    }
  }

  async #takeBack({ onTakenBack }: LeaderHooks, recovers: boolean): Promise<void> {
    const { tasks } = this.options;
    if (recovers) await tasks.recovery.evictSilentWorkers(silentForSeconds);
    const returned = await tasks.recovery.takeBack();
    if (returned.completed + returned.queued > 0) await onTakenBack(returned);
    if (recovers || returned.completed > 0) await tasks.recovery.releaseIndexBuilds();
  }

  async #copyTables(): Promise<void> {
    const { work, tasks } = this.options;
    await this.#inSessions("copy", async (sessions) => {
      // Before `prepare`, which sets a search_path. The other sessions wait for the first one.
      await (this.#catalogues ??= this.#copier.readCatalogues(sessions));
      const session = await targetSession(sessions.target);
      await this.#copier.prepare(sessions.target);
      const runNext = this.#claiming(
        () => tasks.claimTables(session),
        async (claimed) => {
          const copied = await this.#copier.copy(claimed, sessions);
          return () => this.#completeTables(claimed, copied);
        },
      );
      await this.#untilDone(
        () => this.#openTables,
        () => work.tableSlots.run(runNext),
      );
    });
  }

  async #completeTables(claimed: readonly CopyTask[], copied: readonly CompletedCopyTask[]): Promise<void> {
    await this.options.tasks.completeTables(copied);
    this.#copied += claimed.length;
    this.#notifier.notify();
  }

  /**
   * Returns a function that runs the next tasks. It returns false if none is queued. The completion of the former tasks and the
   * next claim share a round trip.
   *
   * @param run executes tasks; returns how to complete them
   */
  #claiming(
    claim: () => Promise<CopyTask[]>,
    run: (claimed: readonly CopyTask[]) => Promise<() => Promise<void>>,
  ): () => Promise<boolean> {
    let completion = Promise.resolve();
    return async () => {
      const [claimed] = await Promise.all([claim(), completion]);
      if (claimed.length === 0) return false;
      const complete = await run(claimed);
      completion = complete();
      // The next call throws its error.
      completion.catch(() => undefined);
      return true;
    };
  }

  /**
   * Resolves when no task of a kind is open. Waits for other workers, because tasks of a lost one may be queued again.
   *
   * @param runNext runs the next task; returns false if none is queued
   */
  async #untilDone(open: () => number, runNext = (): Promise<boolean> => Promise.resolve(false)): Promise<void> {
    for (;;) {
      const notified = this.#notifier.next;
      this.#signal.throwIfAborted();
      if (await runNext()) continue;
      if (open() <= 0) return;
      await notified;
    }
  }

  /** Also waits for `alongside`, because it reads under the same snapshot. */
  async #afterTables(alongside: Promise<void>): Promise<void> {
    await this.#untilDone(() => this.#openTables);
    await alongside;
    await this.options.onTablesCopied?.();
  }

  async #buildIndexes(): Promise<void> {
    const { work, tasks } = this.options;
    const target = await this.#connectTarget("index");
    try {
      const session = await targetSession(target);
      const runNext = this.#claiming(
        () => tasks.claimIndexes(session),
        (claimed) => this.#build(claimed, target),
      );
      await this.#untilDone(
        () => this.#openIndexes,
        () => work.indexSlots.run(runNext),
      );
    } finally {
      await target.end();
    }
  }

  /**
   * Builds one index, or the indexes of several small tables in one statement, if none must be adapted to the target. Returns how
   * to complete them.
   */
  async #build(claimed: readonly CopyTask[], target: Client): Promise<() => Promise<void>> {
    if (claimed.length === 1) return this.#buildOne(claimed[0]!, target);
    const entries = claimed.map(buildOf);
    const isNew = claimed.every(({ returned }) => !returned);
    if (isNew && (await restoreTogether(target, entries, this.options.context)))
      return () => this.#completeBuilds(claimed);
    // One by one: a later index may fail.
    for (const task of claimed) await (await this.#buildOne(task, target))();
    return () => Promise.resolve();
  }

  /** Builds an index. Returns how to complete it. */
  async #buildOne(task: CopyTask, target: Client): Promise<() => Promise<void>> {
    const { tasks, context, onFindings } = this.options;
    const resumed = context.resumed || task.returned;
    const own = { ...context, resumed, skipped: new Map(context.skipped), missing: new Set<string>() };
    try {
      await onFindings(await restoreEntry(target, buildOf(task), own));
    } catch (error) {
      if (isTaskFailure(error, this.#signal)) await tasks.fail(task.id, error);
      throw error;
    }
    const entries = [...own.skipped].filter(([id]) => !context.skipped.has(id));
    const skipped = { entries, missing: [...own.missing] };
    skipTables(context, skipped);
    return () => this.#completeBuilds([task], entries.length > 0 || own.missing.size > 0 ? skipped : undefined);
  }

  async #completeBuilds(tasks: readonly CopyTask[], skipped?: Skipped): Promise<void> {
    await this.options.tasks.completeIndexes(
      tasks.map(({ id }) => id),
      skipped,
    );
    this.#built += tasks.length;
    this.#notifier.notify();
  }

  #openSource(purpose: string): Promise<Client> {
    const { work, database, snapshotId } = this.options;
    if (snapshotId === undefined) throw new EngineError(`cannot copy tables of ${database} without a snapshot`);
    return openInSnapshot(work.source, database, snapshotId, this.#purpose(purpose));
  }

  #connectTarget(purpose: string): Promise<Client> {
    const { work, database } = this.options;
    return connect(work.target, { database: targetDatabase(work.spec, database), purpose: this.#purpose(purpose) });
  }

  #purpose(what: string): string {
    return `${this.options.work.spec.migrationName} ${what}`;
  }
}

/** Adds entries that the target refused to the restore context. */
export function skipTables(context: RestoreContext, { entries, missing }: Skipped): void {
  for (const [id, reason] of entries) context.skipped.set(id, reason);
  for (const key of missing) context.missing.add(key);
}

function buildOf({ id, build }: CopyTask): Entry {
  if (!build) throw new EngineError(`task ${id} is an index task without an index definition`);
  return build;
}

async function targetSession(target: Client): Promise<TargetSession> {
  const { rows } = await target.query<TargetSession>(
    "SELECT pid, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()",
  );
  return rows[0]!;
}
