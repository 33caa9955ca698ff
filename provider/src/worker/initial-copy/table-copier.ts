import type { Client } from "pg";
import { copySmallTables, copyTable, type TableCopy, type TableRows } from "../../copy/copy-table.js";
import { copyFormat } from "../../copy/format.js";
import type { Relayed } from "../../copy/relay.js";
import { withSnapshotSession } from "../../copy/snapshot.js";
import { tableLockTimeout } from "../../copy/table-lock-timeout.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { tableReadsLaterTables } from "../../copy/yield-to-waiters.js";
import { ConcurrentChangeError, EngineError, type LockNotAvailableError, RefusedError } from "../../errors.js";
import { passBytes } from "../../postgres/connection/pass-bytes.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { qualify, type RelationName, relationKey } from "../../postgres/identifiers.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import { isUnsafeToPlan } from "../../postgres/planner-functions.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { serverVersion } from "../../postgres/server-version.js";
import { listTables, type Table } from "../../postgres/tables.js";
import type { CompletedCopyTask, CopyTask } from "../../store/copy-tasks/copy-task.js";
import { type CopyTaskRun, isTaskFailure } from "./copy-task-run.js";
import type { TableLocks } from "./table-locks.js";

const progressEveryMs = 1000;

/** A session in the snapshot, and one on the target. */
export interface TableSessions {
  readonly source: Client;
  readonly target: Client;
}

/** Copies the rows of claimed tasks. */
export class TableCopier {
  readonly #tables: ReadonlyMap<string, TableToCopy>;
  #targetTables: ReadonlyMap<string, Table> = new Map();
  #versions = { source: 0, target: 0 };

  constructor(
    readonly options: CopyTaskRun,
    readonly signal: AbortSignal,
    /** Online. Offline, the session that holds the snapshot locks all tables. */
    readonly locks: TableLocks | undefined,
  ) {
    this.#tables = new Map(options.tables.map((one) => [relationKey(one.table), one]));
  }

  /** Reads what the copy of every table needs. Call it before the first copy. */
  async readCatalogues({ source, target }: TableSessions): Promise<void> {
    this.#versions = { source: await serverVersion(source), target: await serverVersion(target) };
    this.#targetTables = new Map((await listTables(target)).map((table) => [relationKey(table), table]));
  }

  /** Gives values the same meaning on both servers, and keeps triggers from changing rows. */
  async prepare(target: Client): Promise<void> {
    const { spec } = this.options.work;
    await passBytes(target);
    await useSearchPath(target, this.#searchPath);
    if (spec.dataOnly) await target.query("SET session_replication_role = replica");
  }

  /**
   * Copies one table or part, or several small tables together. Online, it postpones a table that an application has altered
   * or waits for, and tables whose functions may read it.
   *
   * @returns the copied tasks, which the caller has to complete
   * @throws ConcurrentChangeError if such a table cannot be copied later
   */
  async copy(claimed: readonly CopyTask[], sessions: TableSessions): Promise<CompletedCopyTask[]> {
    if (!this.locks) return this.#copyRows(claimed, sessions, this.signal);
    const names = claimed.map(({ schema, table }) => ({ schema, name: table }));
    try {
      if (claimed.some(({ deferred }) => deferred)) await this.#requireRowsOfOthers(names);
      return await this.locks.during(sessions.source, names, (stop) =>
        this.#copyRows(claimed, sessions, AbortSignal.any([this.signal, stop])),
      );
    } catch (error) {
      if (this.signal.aborted || !(error instanceof ConcurrentChangeError)) throw error;
      if (claimed.length === 1) return this.#copyLater(claimed[0]!, sessions, error);
      // One by one: a later table may fail.
      for (const task of claimed) await this.options.tasks.completeTables(await this.copy([task], sessions));
      return [];
    }
  }

  /** @throws ConcurrentChangeError if a table joins the stream later, because the functions of these tables may read it */
  async #requireRowsOfOthers(names: readonly RelationName[]): Promise<void> {
    const later = await this.options.tasks.postponed();
    if (later.length > 0) throw tableReadsLaterTables(names, later);
  }

  async #copyLater(
    task: CopyTask,
    { target }: TableSessions,
    why: ConcurrentChangeError,
  ): Promise<CompletedCopyTask[]> {
    const { table } = this.#tableOf(task);
    if (!table.unlogged && !table.extensionConfiguration) return this.#postpone(task, why);
    // The stream has no changes of such tables. They cannot join it, and may be copied as of any moment, but in one piece.
    if (task.condition !== undefined || !this.locks) throw why;
    const { work, database } = this.options;
    const purpose = `${work.spec.migrationName} copy`;
    const { locks } = this;
    return withSnapshotSession({ source: work.source, database, snapshotId: undefined, purpose }, (source) =>
      locks.during(source, [table], (stop) =>
        this.#copyRows([task], { source, target }, AbortSignal.any([this.signal, stop])),
      ),
    );
  }

  async #postpone(task: CopyTask, why: ConcurrentChangeError): Promise<[]> {
    const { work, database, tasks } = this.options;
    const { table } = this.#tableOf(task);
    const [what] = why.message.split("\n");
    await tasks.postpone(task.id, what!);
    const name = qualify(table.schema, table.name);
    await work.journal.event(`${name} is copied later, when it joins the stream: ${what}`, { database });
    return [];
  }

  async #copyRows(
    claimed: readonly CopyTask[],
    { source, target }: TableSessions,
    signal: AbortSignal,
  ): Promise<CompletedCopyTask[]> {
    const { tasks, work } = this.options;
    let failed = claimed[0]!;
    const completed = (relayed: readonly Relayed[]): CompletedCopyTask[] =>
      claimed.map(({ id }, position) => ({ id, ...relayed[position]! }));
    const beforeCommit = (relayed: readonly Relayed[], transaction: string): Promise<void> =>
      tasks.committing(completed(relayed), transaction);
    const together = (): Promise<Relayed[]> =>
      copySmallTables(
        claimed.map((task) => this.#rowsOf(task)),
        {
          ...{ source, target, signal, beforeCommit },
          rate: work.copyRate,
          onFailed: (position) => (failed = claimed[position]!),
        },
      );
    try {
      for (const task of claimed) await this.#prepareQuery((failed = task), source);
      const relayed =
        claimed.length > 1 ? await together() : [await this.#copyOne(failed, { source, target, signal }, beforeCommit)];
      return completed(relayed);
    } catch (cause) {
      const error = isLockTimeout(cause) ? await this.#lockTimeout(failed, cause) : cause;
      if (isTaskFailure(error, signal)) await tasks.fail(failed.id, error);
      throw error;
    }
  }

  /**
   * Refuses a query over a table for which the server would run functions of other roles with this role's privileges. Whole
   * tables are read by COPY, which is safe. Only the query of a part needs a search_path on the source: the planner runs
   * functions of indexes.
   */
  async #prepareQuery(task: CopyTask, source: Client): Promise<void> {
    const { table, condition } = this.#tableOf(task);
    if (task.condition === undefined && condition === undefined) return;
    const { work, database } = this.options;
    const isUnsafe = await withSession(
      work.source,
      { database, purpose: `${work.spec.migrationName} catalogue` },
      (session) => isUnsafeToPlan(session, table),
    );
    // An extension wrote its condition for an empty search_path, which pg_dump uses.
    if (!isUnsafe) return useSearchPath(source, condition === undefined ? this.#searchPath : "");
    const name = qualify(table.schema, table.name);
    throw new RefusedError(`${name} was not copied: a query on it would run a function of another role`, {
      remedy:
        condition === undefined
          ? "run the migration again: the table is then copied as a whole"
          : `drop the indexes and statistics of ${name} that call functions, or exclude the table`,
    });
  }

  get #searchPath(): string {
    return this.options.context.sourceSearchPath ?? "";
  }

  #lockTimeout({ schema, table }: CopyTask, cause: unknown): Promise<LockNotAvailableError> {
    const { work, database } = this.options;
    return tableLockTimeout(work.source, database, { schema, name: table }, cause);
  }

  #copyOne(
    task: CopyTask,
    { source, target, signal }: TableSessions & { readonly signal: AbortSignal },
    beforeCommit: TableCopy["beforeCommit"],
  ): Promise<Relayed> {
    let reportedAt = 0;
    return copyTable({
      source,
      target,
      ...this.#rowsOf(task),
      part: task.condition,
      signal,
      rate: this.options.work.copyRate,
      beforeCommit,
      onProgress: (bytes, rows) => {
        if (Date.now() - reportedAt < progressEveryMs) return;
        reportedAt = Date.now();
        // The next report replaces a lost one. The worker detects a lost lease elsewhere.
        this.options.tasks.progress(task.id, bytes, rows).catch(() => undefined);
      },
    });
  }

  #rowsOf(task: CopyTask): TableRows {
    const { table, condition } = this.#tableOf(task);
    const targetTable = this.#targetTables.get(relationKey(table));
    if (!targetTable)
      throw new EngineError(`${table.schema}.${table.name} is missing on the target after its schema was restored`);
    return { table, condition, format: copyFormat(table, targetTable, this.#versions.source, this.#versions.target) };
  }

  #tableOf(task: CopyTask): TableToCopy {
    const table = this.#tables.get(relationKey({ schema: task.schema, name: task.table }));
    if (!table)
      throw new EngineError(`task ${task.id} names ${task.schema}.${task.table}, which is not selected for the copy`);
    return table;
  }
}
