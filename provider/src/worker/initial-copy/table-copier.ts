import type { Client } from "pg";
import { copySmallTables, copyTable, type TableRows } from "../../copy/copy-table.js";
import { copyFormat } from "../../copy/format.js";
import type { Relayed } from "../../copy/relay.js";
import { tableLockTimeout } from "../../copy/table-lock-timeout.js";
import type { TableToCopy } from "../../copy/tables-to-copy.js";
import { EngineError, type LockNotAvailableError, RefusedError, messageOf } from "../../errors.js";
import { passBytes } from "../../postgres/connection/pass-bytes.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { qualify, type RelationName } from "../../postgres/identifiers.js";
import { isLockTimeout } from "../../postgres/locks/lock-waits.js";
import { isUnsafeToPlan } from "../../postgres/planner-functions.js";
import { useSearchPath } from "../../postgres/search-path.js";
import { serverVersion } from "../../postgres/server-version.js";
import { listTables, type Table } from "../../postgres/tables.js";
import type { CompletedCopyTask, CopyTask } from "../../store/copy-tasks.js";
import { type CopyTaskRun, isTaskFailure } from "./copy-task-run.js";

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
  ) {
    this.#tables = new Map(options.tables.map((one) => [keyOf(one.table), one]));
  }

  /** Reads what the copy of every table needs. Call it before the first copy. */
  async readCatalogues({ source, target }: TableSessions): Promise<void> {
    this.#versions = { source: await serverVersion(source), target: await serverVersion(target) };
    this.#targetTables = new Map((await listTables(target)).map((table) => [keyOf(table), table]));
  }

  /** Gives values the same meaning on both servers, and keeps triggers from changing rows. */
  async prepare({ source, target }: TableSessions): Promise<void> {
    const { spec } = this.options.work;
    await passBytes(target);
    for (const session of [source, target]) await useSearchPath(session, this.options.context.sourceSearchPath ?? "");
    if (spec.dataOnly) await target.query("SET session_replication_role = replica");
  }

  /** Copies one table or part, or several small tables together, and completes the tasks. */
  async copy(claimed: readonly CopyTask[], { source, target }: TableSessions): Promise<void> {
    const { tasks } = this.options;
    let failed = claimed[0]!;
    const completed = (relayed: readonly Relayed[]): CompletedCopyTask[] =>
      claimed.map(({ id }, position) => ({ id, ...relayed[position]! }));
    const beforeCommit = async (relayed: readonly Relayed[]): Promise<void> =>
      tasks.committing(completed(relayed), await currentTransaction(target));
    const together = (): Promise<Relayed[]> =>
      copySmallTables(
        claimed.map((task) => this.#rowsOf(task)),
        { source, target, signal: this.signal, onFailed: (position) => (failed = claimed[position]!), beforeCommit },
      );
    try {
      for (const task of claimed) await this.#assertSafeToQuery((failed = task));
      const relayed =
        claimed.length > 1 ? await together() : [await this.#copyOne(failed, { source, target }, beforeCommit)];
      await tasks.complete(completed(relayed));
    } catch (cause) {
      const error = isLockTimeout(cause) ? await this.#lockTimeout(failed, cause) : cause;
      if (isTaskFailure(error, this.signal)) await tasks.fail(failed.id, messageOf(error));
      throw error;
    }
  }

  /**
   * Refuses a query over a table for which the server would run functions of other roles with this role's privileges. Whole
   * tables are read by COPY, which is safe.
   */
  async #assertSafeToQuery(task: CopyTask): Promise<void> {
    const { table, condition } = this.#tableOf(task);
    if (task.condition === undefined && condition === undefined) return;
    const { work, database } = this.options;
    const isUnsafe = await withSession(
      work.source,
      { database, purpose: `${work.spec.migrationName} catalogue` },
      (session) => isUnsafeToPlan(session, table),
    );
    if (!isUnsafe) return;
    const name = qualify(table.schema, table.name);
    throw new RefusedError(`${name} was not copied: a query on it would run a function of another role`, {
      remedy:
        condition === undefined
          ? "run the migration again: the table is then copied as a whole"
          : `drop the indexes and statistics of ${name} that call functions, or exclude the table`,
    });
  }

  #lockTimeout({ schema, table }: CopyTask, cause: unknown): Promise<LockNotAvailableError> {
    const { work, database } = this.options;
    return tableLockTimeout(work.source, database, { schema, name: table }, cause);
  }

  #copyOne(
    task: CopyTask,
    { source, target }: TableSessions,
    beforeCommit: (relayed: readonly Relayed[]) => Promise<void>,
  ): Promise<Relayed> {
    let reportedAt = 0;
    return copyTable({
      source,
      target,
      ...this.#rowsOf(task),
      part: task.condition,
      signal: this.signal,
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
    const targetTable = this.#targetTables.get(keyOf(table));
    if (!targetTable)
      throw new EngineError(`${table.schema}.${table.name} is missing on the target after its schema was restored`);
    return { table, condition, format: copyFormat(table, targetTable, this.#versions.source, this.#versions.target) };
  }

  #tableOf(task: CopyTask): TableToCopy {
    const table = this.#tables.get(keyOf({ schema: task.schema, name: task.table }));
    if (!table)
      throw new EngineError(`task ${task.id} names ${task.schema}.${task.table}, which is not selected for the copy`);
    return table;
  }
}

/** The transaction ID in the form of txid_status, which works from every database of the server. */
async function currentTransaction(target: Client): Promise<string> {
  const { rows } = await target.query<{ transaction: string }>("SELECT txid_current()::text AS transaction");
  return rows[0]!.transaction;
}

const keyOf = ({ schema, name }: RelationName): string => JSON.stringify([schema, name]);
