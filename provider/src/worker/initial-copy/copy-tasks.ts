import type { Client } from "pg";
import { copySmallTables, copyTable, type TableRows } from "../../copy/copy-table.js";
import { copyFormat } from "../../copy/format.js";
import { passBytes } from "../../postgres/connection/pass-bytes.js";
import type { Relayed } from "../../copy/relay.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { openInSnapshot } from "../../copy/snapshot.js";
import { tableLockTimeout } from "../../copy/table-lock-timeout.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { EngineError, type LockNotAvailableError, RefusedError, TakenOverError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { qualify } from "../../postgres/identifiers.js";
import { isUnsafeToPlan } from "../../postgres/planner-functions.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { serverVersion } from "../../postgres/server-version.js";
import { listTables, type Table } from "../../postgres/tables.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import type { RestoreFinding } from "../../schema/sql/restore-findings.js";
import type { RestoreContext } from "../../schema/restore/restore-context.js";
import type { Entry } from "../../schema/sql/toc-entries.js";
import type { RelationName } from "../../postgres/identifiers.js";
import { restoreEntry, restoreTogether } from "../../schema/restore/restore.js";
import type {
  CompletedCopyTask,
  Counts,
  Skipped,
  Returned,
  TargetSession,
  CopyTask,
  CopyTasks,
} from "../../store/copy-tasks.js";
import { targetDatabase } from "../../inputs/target-database.js";
import { Notifier } from "../../async/notifier.js";
import type { Work } from "../context/work.js";
import { delay } from "../../async/delay.js";

export interface CopyTaskRun {
  readonly work: Work;
  readonly database: string;
  readonly units: CopyTasks;
  /** Where tables are to be copied. */
  readonly snapshotId: string | undefined;
  readonly tables: readonly TableToCopy[];
  readonly context: RestoreContext;
  readonly signal: AbortSignal;
  readonly onFindings: (findings: readonly RestoreFinding[]) => Promise<void>;
}

/** What one worker does alone: the holder of the lease, while others may share its units. */
export interface LeaderHooks {
  /** Runs beside the tables; its signal aborts with theirs. */
  readonly beside: (signal: AbortSignal) => Promise<void>;
  /** Runs when every table is copied, and what runs beside them done, beside the indexes that are still built. */
  readonly onTablesCopied: () => Promise<void>;
  readonly onTakenBack: (returned: Returned) => Promise<void>;
}

const progressEveryMs = 1000;
/** How often it is looked what other workers have done. */
const lookEveryMs = 500;
/** Of these looks, how many until one for what a killed worker may have left unsaid. */
const looksPerMend = 10;
/** How long another worker, which looks as often, may do without: longer than a machine is ever that busy. */
const silentForSeconds = 120;

/**
 * Copies tables, and builds the indexes of each as soon as its rows are there, while others still copy; answers when every
 * unit is done, whoever has done it. The first failure ends all of it.
 */
export async function runCopyTasks(options: CopyTaskRun, lead?: LeaderHooks): Promise<void> {
  const pool = new CopyPool(options, lead);
  await pool.run();
}

class CopyPool {
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #tables: ReadonlyMap<string, TableToCopy>;
  readonly #over = new AbortController();
  readonly #notifier = new Notifier();
  #targetTables: ReadonlyMap<string, Table> = new Map();
  #versions = { source: 0, target: 0 };
  #total: Counts = { tables: 0, indexes: 0 };
  #byOthers: Counts = { tables: 0, indexes: 0 };
  #copied = 0;
  #built = 0;

  constructor(
    readonly options: CopyTaskRun,
    readonly lead: LeaderHooks | undefined,
  ) {
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#tables = new Map(options.tables.map((one) => [keyOf(one.table), one]));
  }

  async run(): Promise<void> {
    const { work, units } = this.options;
    const [tableJobs, indexJobs] = [work.tableSlots.limit(), work.indexSlots.limit()];
    this.#total = await units.total();
    // By an earlier try of this same worker.
    const here = await units.completedHere();
    [this.#copied, this.#built] = [here.tables, here.indexes];
    this.#byOthers = await units.completedByOthers();
    if (this.#openTables > 0) await this.#learn();
    const wake = (): void => this.#notifier.notify();
    this.#signal.addEventListener("abort", wake);
    const beside = this.lead?.beside(this.#signal) ?? Promise.resolve();
    const watch = this.#failing(this.#watch()).catch(() => undefined);
    const steps = [
      ...this.#runners(Math.min(tableJobs, this.#openTables), () => this.#copyTables()),
      ...this.#runners(Math.min(indexJobs, this.#openIndexes), () => this.#buildIndexes()),
      beside,
      this.#afterTables(beside),
    ];
    await Promise.allSettled(steps.map((step) => this.#failing(step)));
    this.#over.abort();
    await watch;
    this.#signal.removeEventListener("abort", wake);
    this.#signal.throwIfAborted();
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

  async #learn(): Promise<void> {
    await this.#inSessions("catalogue", async (source, target) => {
      this.#versions = { source: await serverVersion(source), target: await serverVersion(target) };
      this.#targetTables = new Map((await listTables(target)).map((table) => [keyOf(table), table]));
    });
  }

  /** One in the snapshot, and one on the target. */
  #inSessions(purpose: string, run: (source: Client, target: Client) => Promise<void>): Promise<void> {
    return withTwoSessions(
      () => this.#openSource(purpose),
      () => this.#connectTarget(purpose),
      run,
    );
  }

  /** What other workers do, and what becomes of what they leave undone. */
  async #watch(): Promise<void> {
    const { units } = this.options;
    for (let look = 1; ; look++) {
      await delay(lookEveryMs, this.#over.signal);
      if (this.#over.signal.aborted || this.#signal.aborted) return;
      if (this.lead) await this.#takeBack(this.lead, look % looksPerMend === 0);
      this.#byOthers = await units.completedByOthers();
      const failure = await units.failureOfOthers();
      if (failure !== undefined) throw new RefusedError(failure);
      this.#notifier.notify();
    }
  }

  async #takeBack({ onTakenBack }: LeaderHooks, mend: boolean): Promise<void> {
    const { units } = this.options;
    if (mend) await units.evictSilentWorkers(silentForSeconds);
    const returned = await units.takeBack();
    if (returned.completed + returned.queued > 0) await onTakenBack(returned);
    if (mend || returned.completed > 0) await units.releaseIndexBuilds();
  }

  async #copyTables(): Promise<void> {
    const { work, units } = this.options;
    await this.#inSessions("copy", async (source, target) => {
      await this.#prepareToCopy(source, target);
      const session = await targetSession(target);
      for (;;) {
        const notifier = this.#notifier.next;
        this.#signal.throwIfAborted();
        const went = await work.tableSlots.run(async () => {
          const claimed = await units.claimTables(session);
          if (claimed.length > 0) await this.#copy(claimed, source, target);
          return claimed.length > 0;
        });
        if (went) continue;
        // Another worker may leave some undone.
        if (this.#openTables <= 0) return;
        await notifier;
      }
    });
  }

  /** Rows are to meet on the target what they met on the source, and nothing that would change them. */
  async #prepareToCopy(source: Client, target: Client): Promise<void> {
    const { spec } = this.options.work;
    await passBytes(target);
    for (const session of [source, target]) await useSearchPath(session, this.options.context.sourceSearchPath ?? "");
    if (spec.dataOnly) await target.query("SET session_replication_role = replica");
  }

  /** One table, or several small ones together. */
  async #copy(claimed: readonly CopyTask[], source: Client, target: Client): Promise<void> {
    const { units } = this.options;
    let failed = claimed[0]!;
    const moved = (relayed: readonly Relayed[]): CompletedCopyTask[] =>
      claimed.map(({ id }, position) => ({ id, ...relayed[position]! }));
    const beforeCommit = async (relayed: readonly Relayed[]): Promise<void> =>
      units.committing(moved(relayed), await currentTransaction(target));
    const together = (): Promise<Relayed[]> =>
      copySmallTables(
        claimed.map((unit) => this.#rowsOf(unit)),
        { source, target, signal: this.#signal, onFailed: (position) => (failed = claimed[position]!), beforeCommit },
      );
    try {
      for (const unit of claimed) await this.#assertSafeToQuery((failed = unit));
      const relayed =
        claimed.length > 1 ? await together() : [await this.#copyOne(failed, source, target, beforeCommit)];
      await units.complete(moved(relayed));
    } catch (cause) {
      const error = isLockTimeout(cause) ? await this.#heldUp(failed, cause) : cause;
      if (this.#isUnits(error)) await units.fail(failed.id, messageOf(error));
      throw error;
    }
    this.#copied += claimed.length;
    this.#notifier.notify();
  }

  /**
   * Some of a table's rows are read by a query, for which the server may run functions of other roles with this role's
   * privileges.
   */
  async #assertSafeToQuery(unit: CopyTask): Promise<void> {
    const { table, condition } = this.#tableOf(unit);
    if (unit.condition === undefined && condition === undefined) return;
    const { work, database } = this.options;
    const session = await connect(work.source, { database, purpose: this.#purpose("catalogue") });
    const isUnsafe = await isUnsafeToPlan(session, table).finally(() => session.end());
    if (!isUnsafe) return;
    const name = qualify(table.schema, table.name);
    throw new RefusedError(`${name} was not copied: a query over it would run a function of another role`, {
      remedy:
        condition === undefined
          ? "run the migration again: the table is then copied as a whole"
          : `drop the indexes and statistics of ${name} that call functions, or exclude the table`,
    });
  }

  #heldUp({ schema, table }: CopyTask, cause: unknown): Promise<LockNotAvailableError> {
    const { work, database } = this.options;
    return tableLockTimeout(work.source, database, { schema, name: table }, cause);
  }

  /** Whether a unit has failed for what it is: what has become of this worker leaves it to another one, or another try. */
  #isUnits(error: unknown): boolean {
    return !(this.#signal.aborted || error instanceof TakenOverError || isConnectionLoss(error));
  }

  #copyOne(
    unit: CopyTask,
    source: Client,
    target: Client,
    beforeCommit: (relayed: readonly Relayed[]) => Promise<void>,
  ): Promise<Relayed> {
    let reportedAt = 0;
    return copyTable({
      source,
      target,
      ...this.#rowsOf(unit),
      part: unit.condition,
      signal: this.#signal,
      beforeCommit,
      onProgress: (bytes, rows) => {
        if (Date.now() - reportedAt < progressEveryMs) return;
        reportedAt = Date.now();
        // A lost report is made good by the next one; a lost lease is noticed by the worker's own watch.
        this.options.units.progress(unit.id, bytes, rows).catch(() => undefined);
      },
    });
  }

  #rowsOf(unit: CopyTask): TableRows {
    const { table, condition } = this.#tableOf(unit);
    const twin = this.#targetTables.get(keyOf(table));
    if (!twin)
      throw new EngineError(`${table.schema}.${table.name} is missing on the target after its schema was restored`);
    return { table, condition, format: copyFormat(table, twin, this.#versions.source, this.#versions.target) };
  }

  /** Behind what runs beside, too: it reads under the same snapshot. */
  async #afterTables(beside: Promise<void>): Promise<void> {
    for (;;) {
      const notifier = this.#notifier.next;
      this.#signal.throwIfAborted();
      if (this.#openTables <= 0) break;
      await notifier;
    }
    await beside;
    await this.lead?.onTablesCopied();
  }

  async #buildIndexes(): Promise<void> {
    const { work, units } = this.options;
    const target = await this.#connectTarget("index");
    try {
      const session = await targetSession(target);
      for (;;) {
        const notifier = this.#notifier.next;
        this.#signal.throwIfAborted();
        const went = await work.indexSlots.run(async () => {
          const claimed = await units.claimIndexes(session);
          if (claimed.length > 0) await this.#build(claimed, target);
          return claimed.length > 0;
        });
        if (went) continue;
        if (this.#openIndexes <= 0) return;
        await notifier;
      }
    } finally {
      await target.end();
    }
  }

  /** One index, or all those of several small tables together, if none of them needs to be fitted to the target. */
  async #build(claimed: readonly CopyTask[], target: Client): Promise<void> {
    const entries = claimed.map(buildOf);
    const isNew = claimed.every(({ returned }) => !returned);
    if (claimed.length > 1 && isNew && (await restoreTogether(target, entries, this.options.context)))
      return this.#completeBuilds(claimed);
    for (const unit of claimed) await this.#buildOne(unit, target);
  }

  async #buildOne(unit: CopyTask, target: Client): Promise<void> {
    const { units, context, onFindings } = this.options;
    const resumed = context.resumed || unit.returned;
    const own = { ...context, resumed, skipped: new Map(context.skipped), missing: new Set<string>() };
    try {
      await onFindings(await restoreEntry(target, buildOf(unit), own));
    } catch (error) {
      if (this.#isUnits(error)) await units.fail(unit.id, messageOf(error));
      throw error;
    }
    const entries = [...own.skipped].filter(([id]) => !context.skipped.has(id));
    const skipped = { entries, missing: [...own.missing] };
    skipTables(context, skipped);
    await this.#completeBuilds([unit], entries.length > 0 || own.missing.size > 0 ? skipped : undefined);
  }

  async #completeBuilds(units: readonly CopyTask[], skipped?: Skipped): Promise<void> {
    await this.options.units.complete(
      units.map(({ id }) => ({ id, bytes: 0, rows: 0 })),
      skipped,
    );
    this.#built += units.length;
    this.#notifier.notify();
  }

  #tableOf(unit: CopyTask): TableToCopy {
    const table = this.#tables.get(keyOf({ schema: unit.schema, name: unit.table }));
    if (!table) throw new EngineError(`unit ${unit.id} names ${unit.schema}.${unit.table}, which is not to be copied`);
    return table;
  }

  #openSource(purpose: string): Promise<Client> {
    const { work, database, snapshotId } = this.options;
    if (snapshotId === undefined) throw new EngineError(`tables of ${database} are to be copied without a snapshot`);
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

/** Puts what the target did not take among what is known of that. */
export function skipTables(context: RestoreContext, { entries, missing }: Skipped): void {
  for (const [id, reason] of entries) context.skipped.set(id, reason);
  for (const key of missing) context.missing.add(key);
}

function buildOf({ id, build }: CopyTask): Entry {
  if (!build) throw new EngineError(`unit ${id} is claimed as an index and has none to build`);
  return build;
}

async function targetSession(target: Client): Promise<TargetSession> {
  const { rows } = await target.query<TargetSession>(
    "SELECT pid, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()",
  );
  return rows[0]!;
}

/** As txid_status understands it, from whatever database of the server. */
async function currentTransaction(target: Client): Promise<string> {
  const { rows } = await target.query<{ transaction: string }>("SELECT txid_current()::text AS transaction");
  return rows[0]!.transaction;
}

const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);
