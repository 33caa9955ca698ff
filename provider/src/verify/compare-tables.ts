import { type Client, DatabaseError } from "pg";
import { SerialQueue } from "../async/serial-queue.js";
import { cancellation } from "../copy/cancellation.js";
import { requestCancel } from "../postgres/connection/cancel-request.js";
import { useSearchPath } from "../postgres/search-path.js";
import { planParts } from "../copy/plan-parts.js";
import { tablesReplacedSince } from "../copy/tables-altered-since.js";
import { isSmall, tableBytes, type TableToCopy } from "../copy/tables-to-copy.js";
import { ConcurrentChangeError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { isLockTimeout, lockRemedy } from "../postgres/locks/lock-waits.js";
import { lockRelations } from "../postgres/locks/lock-relations.js";
import { type RelationName, qualify } from "../postgres/identifiers.js";
import { isEverythingTrusted, tablesUnsafeToPlan } from "../postgres/planner-functions.js";
import { serverVersion } from "../postgres/server-version.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { SizedTable } from "../postgres/tables.js";
import { enumerate } from "../units/enumerate.js";
import {
  type Checksum,
  type RecordedChecksum,
  type RowHash,
  addChecksums,
  checksums,
  chooseRowHash,
  emptyChecksum,
  hashOf,
  sameChecksum,
  toRecord,
} from "./checksum.js";
import type { ContentBudget, Side } from "./content-budget.js";
import { copiedDifferences } from "./copied-differences.js";
import { type NormalizeRow, copiedChecksum, copiedCount, normalizeRows } from "./copied-rows.js";
import { type Difference, firstDifferences } from "./first-differences.js";
import { RowImages } from "./row-image.js";
import { YieldingReads } from "./yielding-reads.js";

export interface TableComparison {
  readonly schema: string;
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly equal: boolean;
  /** What was compared: every stored value, or only the number of rows. */
  readonly by: "content" | "counts";
  /** Up to ten rows that differ; empty if rows were only counted. */
  readonly firstDifferences: readonly Difference[];
  /**
   * The table was truncated or rewritten after the session's snapshot, which no longer shows its rows, or it was released for
   * an application. Compare it again.
   */
  readonly replaced?: true;
  /** Only for a part of a table: its checksums, which count with those of the other parts. */
  readonly sums?: Readonly<Record<Side, RecordedChecksum>>;
}

export interface TableToCompare extends TableToCopy {
  /** Set if only a part of the table is compared. The sides may have different rows in it: only the sums of all parts count. */
  readonly part?: TablePart | undefined;
}

export interface TablePart {
  /** SQL conditions on the rows, each for one query. */
  readonly conditions: readonly string[];
  readonly bytes: number;
  /** Bytes that the time limit has to suffice for: those of all parts that are not compared yet. */
  readonly bytesLeft: number;
}

/** Size of the source's tables on disk. A table that was read on one server counts half. */
export interface BytesCompared {
  readonly bytesCompared: number;
  readonly bytesTotal: number;
}

/**
 * What a session reads: the rows to compare, possibly in a snapshot, or the current catalogue (`present`), which
 * determines what the planner runs.
 */
export type ComparisonView = "rows" | "present";

export interface TablesComparison {
  /** Opens a session on the source or the target; {@link compareTables} closes it. */
  readonly openSource: (view: ComparisonView) => Promise<Client>;
  readonly openTarget: (view: ComparisonView) => Promise<Client>;
  /**
   * Sides whose sessions have transactions with a snapshot; the others are outside a transaction. Each table's lock is
   * released after the table was read, so that TRUNCATE and the stream of changes do not wait for the other tables.
   */
  readonly underSnapshots?: readonly Side[];
  /** The source, if its applications must not wait until a table is read. See {@link YieldingReads}. */
  readonly yieldOn?: { readonly source: Endpoint; readonly database: string } | undefined;
  /** Resolves when the target has the rows to compare; by default at once. Until then only the source is read. */
  readonly targetRests?: Promise<void> | undefined;
  /** The source's tables. Those of the target are found by name. */
  readonly tables: readonly TableToCompare[];
  /** `counts` compares numbers of rows, `content` every stored value. */
  readonly mode: "counts" | "content";
  /**
   * Limits the comparison of content: the smallest tables are compared first. The result omits tables beyond the limit.
   */
  readonly budget?: ContentBudget | undefined;
  /** The search_path of the source's database, for planning index expressions. It is used if all owners are trusted. */
  readonly searchPath?: string | undefined;
  /** Names of the sides in messages. Before a return they are exchanged. */
  readonly sideNames?: Readonly<Record<Side, string>> | undefined;
  /** Sessions per side. */
  readonly jobs: number;
  /** Tables of at least this size are compared in parts by several sessions; 1 GiB by default. */
  readonly splitBytes?: number;
  /** Called after each table, or part of one, on either side. */
  readonly onProgress?: ((progress: BytesCompared) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One query on one side: a table, a part of one, or several small tables. */
interface Unit {
  /** Positions in {@link TablesComparison.tables}. Several are read completely, by a query. */
  readonly tables: readonly number[];
  readonly bytes: number;
  readonly conditions: readonly string[];
}

/** The method of reading one table. */
type Reading =
  | { readonly by: "query"; readonly rowHash: string | undefined }
  /**
   * This process computes the checksum from COPY, because a query would run functions of other roles
   * ({@link tablesUnsafeToPlan}).
   */
  | { readonly by: "copy"; readonly normalize: NormalizeRow };

const defaultSplitBytes = 1 << 30;
const partsPerJob = 4;
/** Small tables in one query. A table then needs no round trip of its own. */
const tablesPerQuery = 50;
/** Columns in one query of several tables: a table may have 1,600. */
const columnsPerQuery = 2000;
/** Shorter than PostgreSQL's deadlock_timeout: an application must not fail because several tables are locked together. */
const sharedLockTimeoutMs = 100;
const maxDifferences = 10;
const cancelEveryMs = 1000;
const sides = ["source", "target"] as const;

/**
 * Compares tables' rows on both servers at the same time, large tables in parts. Servers send only checksums, so that
 * the duration is that of reading the tables on the slower server. Generated columns are included: each server computes
 * its own, possibly with different values.
 *
 * @returns one comparison per table, in the given order; with a budget, only for tables within it
 * @throws RefusedError when a server refuses to read a table, which may be missing
 * @throws UnreachableError when a connection breaks
 * @throws the signal's reason, or CanceledError
 */
export async function compareTables(comparison: TablesComparison): Promise<TableComparison[]> {
  const sessions = new Sessions(comparison);
  const reads = new YieldingReads(comparison.yieldOn);
  let endCanceling = (): void => undefined;
  const cancel = (): void => void (endCanceling = repeatedly(() => sessions.cancel()));
  comparison.signal?.addEventListener("abort", cancel, { once: true });
  try {
    await sessions.open();
    const { source, target } = await sessions.pair();
    const images = await RowImages.of(source);
    const rowHash = await chooseRowHash(source, target);
    const versions = [await serverVersion(source), await serverVersion(target)] as const;
    const unsafe = await sessions.tablesUnsafeToPlan();
    const readings = comparison.tables.map(({ table, condition, part }): Reading => {
      const name = qualify(table.schema, table.name);
      if (!unsafe.has(name)) {
        const row = comparison.mode === "content" ? hashOf(images.image(table, "r"), rowHash) : undefined;
        return { by: "query", rowHash: row };
      }
      if (condition !== undefined) throw unsafeCondition(name);
      if (part) throw unsafeMeanwhile(name);
      return { by: "copy", normalize: normalizeRows(table, versions) };
    });
    await sessions.useSearchPath();
    const units = await planUnits(sessions.catalogue("source"), comparison, readings);
    const progress = counter(comparison, units);
    const sums = (side: Side): Promise<(Checksum | undefined)[]> =>
      sumAll(sessions, side, { units, readings, comparison, reads, progress });
    const [sourceSums, targetSums] = await sessions.within(comparison.budget, () =>
      Promise.all([sums("source"), comparison.targetRests?.then(() => sums("target")) ?? sums("target")]),
    );

    const compareSums = async (tableToCopy: TableToCompare, i: number): Promise<TableComparison | undefined> => {
      const [one, other] = [sourceSums[i], targetSums[i]];
      const { schema, name, oid } = tableToCopy.table;
      if (reads.hasYielded(oid)) return released(schema, name, comparison.mode);
      if (!one || !other) return undefined;
      const result = { schema, table: name, sourceRows: one.rows, targetRows: other.rows, by: comparison.mode };
      if (tableToCopy.part) {
        const sums = { source: toRecord(one), target: toRecord(other) };
        return { ...result, equal: sameChecksum(one, other), firstDifferences: [], sums };
      }
      if (sameChecksum(one, other)) return { ...result, equal: true, firstDifferences: [] };
      const pair = await sessions.pair();
      const how = {
        images,
        rowHash,
        rows: Math.max(one.rows, other.rows),
        most: maxDifferences,
        reading: readings[i]!,
      };
      const firstDifferences =
        comparison.mode === "counts"
          ? []
          : await withBriefLocks(comparison, pair, async () => {
              const differences = async (): Promise<Difference[]> => {
                if (how.reading.by === "query")
                  await Promise.all(sides.map((side) => sessions.lockToQuery(side, pair[side], tableToCopy)));
                return differencesOf(pair, tableToCopy, how);
              };
              return reads.read(pair.source, [oid], differences).catch((error: unknown) => {
                if (error instanceof ConcurrentChangeError) throw error;
                throw comparisonFailure(error, "source or the target", qualify(schema, name));
              });
            });
      if (!firstDifferences) return released(schema, name, comparison.mode);
      const replaced = await isReplaced(pair, { schema, name });
      return { ...result, equal: false, firstDifferences, ...(replaced ? { replaced } : {}) };
    };
    const compared: TableComparison[] = [];
    // One after another, because all use the same two sessions.
    for (const [i, table] of comparison.tables.entries()) {
      const result = await compareSums(table, i);
      if (result) compared.push(result);
    }
    return compared;
  } catch (error) {
    // Running statements are no longer needed, and closing a session would wait for them.
    await sessions.cancel();
    if (comparison.signal?.aborted) throw cancellation("the comparison", comparison.signal);
    throw error;
  } finally {
    endCanceling();
    comparison.signal?.removeEventListener("abort", cancel);
    await reads.close();
    await sessions.end();
  }
}

/** Cancels until the returned function is called: a cancel request can be lost, or reach a session between two statements. */
function repeatedly(cancel: () => Promise<void>): () => void {
  void cancel();
  const timer = setInterval(() => void cancel(), cancelEveryMs);
  return () => clearInterval(timer);
}

/** The result for a table that an application needed while it was read. */
export const released = (schema: string, table: string, by: TableComparison["by"]): TableComparison => ({
  ...{ schema, table, by, sourceRows: 0, targetRows: 0 },
  ...{ equal: false, firstDifferences: [], replaced: true },
});

/** The number of sessions per side that have work: a session that reads nothing costs both servers a process. */
function sessionsOf({ tables, jobs, splitBytes = defaultSplitBytes }: TablesComparison): number {
  const wholePartsOf = (table: SizedTable): number =>
    isSmall(table) ? 1 / tablesPerQuery : Math.max(1, Math.ceil(tableBytes(table) / splitBytes));
  const partsOf = ({ table, part }: TableToCompare): number => part?.conditions.length ?? wholePartsOf(table);
  const queries = Math.ceil(tables.reduce((all, table) => all + partsOf(table), 0));
  return Math.max(1, Math.min(jobs, queries));
}

/** The sessions of both sides, at most `jobs` for each. */
class Sessions {
  readonly source: Client[] = [];
  readonly target: Client[] = [];
  readonly #catalogues: Partial<Record<Side, Client>> = {};
  readonly #queues: Record<Side, SerialQueue> = { source: new SerialQueue(), target: new SerialQueue() };
  readonly #comparison: TablesComparison;
  #searchPath = "";
  /** A canceled statement ends its transaction, and with it the snapshot. */
  #broken = false;

  constructor(comparison: TablesComparison) {
    this.#comparison = comparison;
  }

  async open(sessions = sessionsOf(this.#comparison)): Promise<void> {
    const { openSource, openTarget } = this.#comparison;
    const opening: Promise<unknown>[] = Array.from({ length: sessions }, () => [
      openSource("rows").then((session) => this.source.push(session)),
      openTarget("rows").then((session) => this.target.push(session)),
    ]).flat();
    if (!this.#catalogues.source)
      opening.push(
        openSource("present").then((session) => (this.#catalogues.source = session)),
        openTarget("present").then((session) => (this.#catalogues.target = session)),
      );
    // Waits for all, so that no session is opened after a failure was reported.
    await Promise.allSettled(opening);
    await Promise.all(opening);
  }

  /** The session that sees the current catalogue. */
  catalogue(side: Side): Client {
    return this.#catalogues[side]!;
  }

  /** Also decides about the search_path: an overloaded function in it could replace PostgreSQL's own. */
  async tablesUnsafeToPlan(): Promise<ReadonlySet<string>> {
    const catalogues = [this.catalogue("source"), this.catalogue("target")];
    const trust = await Promise.all(catalogues.map(isEverythingTrusted));
    if (trust.every(Boolean)) this.#searchPath = this.#comparison.searchPath ?? "";
    const unsafe = await Promise.all(catalogues.map((session) => tablesUnsafeToPlan(session)));
    return new Set(unsafe.flatMap((names) => [...names]));
  }

  /**
   * Locks a table, which a query of the transaction may then read.
   *
   * @throws ConcurrentChangeError when it is no longer a table, or a query over it became unsafe, since the comparison started
   */
  async lockToQuery(side: Side, session: Client, { table, condition }: TableToCopy): Promise<void> {
    await lockRelations(session, [table], "table");
    // An extension wrote the condition for an empty search_path, which pg_dump uses.
    if (condition !== undefined) await session.query("SET LOCAL search_path = ''");
    await this.#requireSafe(side, [table]);
  }

  /** Locks several tables like {@link lockToQuery}. Fails instead of waiting for a lock while it holds others. */
  async lockAllToQuery(side: Side, session: Client, tables: readonly RelationName[]): Promise<void> {
    await session.query(`SET LOCAL lock_timeout = ${sharedLockTimeoutMs}`);
    await lockRelations(session, tables, "table");
    await this.#requireSafe(side, tables);
  }

  async #requireSafe(side: Side, tables: readonly RelationName[]): Promise<void> {
    const unsafe = await this.#queues[side].run(() => tablesUnsafeToPlan(this.catalogue(side), tables));
    if (unsafe.size === 0) return;
    throw unsafeMeanwhile(enumerate([...unsafe]));
  }

  /** A session of each side without a canceled statement. */
  async pair(): Promise<{ readonly source: Client; readonly target: Client }> {
    if (this.#broken) {
      await this.#endReaders();
      await this.open(1);
      await this.useSearchPath();
      this.#broken = false;
    }
    return { source: this.source[0]!, target: this.target[0]! };
  }

  /** Cancels the readers' statements when the budget is spent. The sessions that see the catalogue are needed afterwards. */
  async within<Result>(budget: ContentBudget | undefined, run: () => Promise<Result>): Promise<Result> {
    if (!budget) return run();
    let endCanceling = (): void => undefined;
    const stop = (): void => {
      this.#broken = true;
      endCanceling = repeatedly(() => this.#cancelReaders());
    };
    budget.spent.addEventListener("abort", stop, { once: true });
    try {
      return await run();
    } finally {
      budget.spent.removeEventListener("abort", stop);
      endCanceling();
    }
  }

  /**
   * Set after the row images were built, which have to qualify types with their schemas. Later statements in these sessions have
   * to qualify functions and operators. Another role could at any moment create a better match in a schema of the path.
   */
  async useSearchPath(): Promise<void> {
    await Promise.all([...this.source, ...this.target].map((session) => useSearchPath(session, this.#searchPath)));
  }

  /** Cancels the statements of all sessions: a query that divides a table may wait for its lock, too. */
  async cancel(): Promise<void> {
    await Promise.all([this.#cancelReaders(), ...Object.values(this.#catalogues).map(requestCancel)]);
  }

  async #cancelReaders(): Promise<void> {
    await Promise.all([...this.source, ...this.target].map(requestCancel));
  }

  async end(): Promise<void> {
    await Promise.all([this.#endReaders(), ...Object.values(this.#catalogues).map((session) => session.end())]);
  }

  async #endReaders(): Promise<void> {
    const ending = [...this.source.splice(0), ...this.target.splice(0)];
    await Promise.all(ending.map((session) => session.end()));
  }
}

/**
 * Divides tables into units: largest tables first, or smallest first with a budget. Both sides use the same conditions:
 * the parts contain each row once on either side.
 */
async function planUnits(
  source: Client,
  { tables, jobs, mode, budget, signal, splitBytes = defaultSplitBytes }: TablesComparison,
  readings: readonly Reading[],
): Promise<Unit[]> {
  const bySize = tables.map((each, table) => ({ ...each, index: table }));
  bySize.sort((one, other) => (tableBytes(other.table) - tableBytes(one.table)) * (budget ? -1 : 1));
  const units: Unit[] = [];
  const groups = new SmallTables();
  for (const { table, condition, index, part } of bySize) {
    if (signal?.aborted) throw cancellation("the comparison", signal);
    const own = condition === undefined ? [] : [condition];
    const isQuery = readings[index]!.by === "query";
    if (part) {
      const bytes = part.bytes / part.conditions.length;
      for (const one of part.conditions) units.push({ tables: [index], bytes, conditions: [...own, one] });
      continue;
    }
    if (isQuery && condition === undefined && isSmall(table)) {
      groups.add(index, table);
      continue;
    }
    const parts =
      mode === "counts" || !isQuery ? [] : await planParts(source, table, { splitBytes, parts: jobs * partsPerJob });
    const bytes = tableBytes(table) / Math.max(1, parts.length);
    if (parts.length === 0) units.push({ tables: [index], bytes, conditions: own });
    for (const one of parts) units.push({ tables: [index], bytes, conditions: [...own, one] });
  }
  return budget ? [...groups.units, ...units] : [...units, ...groups.units];
}

/** Groups small tables that one query reads. */
class SmallTables {
  readonly units: Unit[] = [];
  #columns = 0;

  add(index: number, table: SizedTable): void {
    const last = this.units.at(-1);
    this.#columns += table.columns.length;
    if (last && last.tables.length < tablesPerQuery && this.#columns <= columnsPerQuery) {
      this.units.pop();
      this.units.push({ tables: [...last.tables, index], bytes: last.bytes + tableBytes(table), conditions: [] });
      return;
    }
    this.#columns = table.columns.length;
    this.units.push({ tables: [index], bytes: tableBytes(table), conditions: [] });
  }
}

interface Plan {
  readonly units: readonly Unit[];
  /** By the index of the table. */
  readonly readings: readonly Reading[];
  readonly comparison: TablesComparison;
  readonly reads: YieldingReads;
  readonly progress: (bytes: number) => void;
}

/** Lets a side's sessions process the units. Returns each table's checksum, except for tables beyond the budget. */
function sumAll(all: Sessions, side: Side, plan: Plan): Promise<(Checksum | undefined)[]> {
  return new SideSums(all, side, plan).run();
}

/** The checksums of one side's tables. */
class SideSums {
  readonly #all: Sessions;
  readonly #side: Side;
  readonly #plan: Plan;
  readonly #sums: Checksum[];
  /** Number of queries whose result each table still lacks. */
  readonly #unread: number[];
  #failed = false;

  constructor(all: Sessions, side: Side, plan: Plan) {
    this.#all = all;
    this.#side = side;
    this.#plan = plan;
    this.#sums = plan.comparison.tables.map(() => emptyChecksum);
    this.#unread = plan.comparison.tables.map(() => 0);
    for (const { tables } of plan.units) for (const index of tables) this.#unread[index]!++;
  }

  async run(): Promise<(Checksum | undefined)[]> {
    const waiting = this.#plan.units.values();
    const work = async (session: Client): Promise<void> => {
      for (const unit of waiting) {
        if (unit.tables.length > 1 && (await this.#readTogether(session, unit))) continue;
        for (const single of apart(unit)) if (!(await this.#read(session, single))) return;
      }
    };
    await Promise.all(this.#all[this.#side].map(work));
    return this.#sums.map((sum, index) => (this.#unread[index] === 0 ? sum : undefined));
  }

  /** @returns false if no further table is to be read */
  async #read(session: Client, unit: Unit): Promise<boolean> {
    const { comparison, reads } = this.#plan;
    const { tables, budget, signal } = comparison;
    const index = unit.tables[0]!;
    const { table } = tables[index]!;
    if (this.#failed) return false;
    if (signal?.aborted) throw cancellation("the comparison", signal);
    if (reads.hasYielded(table.oid) || !this.#isAdmitted(unit)) return true;
    const startedAt = performance.now();
    try {
      const readOnce = (): Promise<Checksum> => this.#checksum(session, index, unit.conditions);
      const sum = await withBriefLocks(comparison, { [this.#side]: session }, () =>
        this.#side === "source" ? reads.read(session, [table.oid], readOnce) : readOnce(),
      );
      if (sum) this.#add(index, sum);
    } catch (error) {
      if (budget?.spent.aborted && sqlStateOf(error) === sqlStates.queryCanceled && !signal?.aborted) return false;
      throw this.#failure(error, [table]);
    }
    budget?.measured(this.#side, unit.bytes, (performance.now() - startedAt) / 1000);
    this.#plan.progress(unit.bytes);
    return true;
  }

  /**
   * Reads several tables with one query.
   *
   * @returns false if they have to be read one after another: the server refuses one of them, one is locked, or an application
   *   waits for one
   */
  async #readTogether(session: Client, unit: Unit): Promise<boolean> {
    const { comparison, readings, reads } = this.#plan;
    if (this.#failed || comparison.signal?.aborted || !this.#isAdmitted(unit)) return false;
    const tables = unit.tables.map((index) => comparison.tables[index]!.table);
    const readOnce = async (): Promise<Checksum[]> => {
      await this.#all.lockAllToQuery(this.#side, session, tables);
      return checksums(
        session,
        unit.tables.map((index) => ({ table: comparison.tables[index]!.table, rowHash: rowHashOf(readings[index]!) })),
      );
    };
    const oids = tables.map(({ oid }) => oid);
    const orRefused = async (): Promise<Checksum[] | undefined> => {
      try {
        return await (this.#side === "source" ? reads.read(session, oids, readOnce) : readOnce());
      } catch (error) {
        if (error instanceof ConcurrentChangeError || error instanceof DatabaseError) return undefined;
        throw error;
      }
    };
    let sums: Checksum[] | undefined;
    try {
      sums = await withBriefLocks(comparison, { [this.#side]: session }, orRefused);
    } catch (error) {
      throw this.#failure(error, tables);
    }
    if (!sums) return false;
    for (const [i, index] of unit.tables.entries()) this.#add(index, sums[i]!);
    this.#plan.progress(unit.bytes);
    return true;
  }

  /** Stops all sessions of the side. */
  #failure(error: unknown, tables: readonly SizedTable[]): Error {
    const { signal, sideNames } = this.#plan.comparison;
    this.#failed = true;
    if (signal?.aborted) return cancellation("the comparison", signal);
    if (error instanceof ConcurrentChangeError) return error;
    const names = tables.map(({ schema, name }) => qualify(schema, name));
    return comparisonFailure(error, sideNames?.[this.#side] ?? this.#side, enumerate(names, 3));
  }

  #isAdmitted({ tables, bytes }: Unit): boolean {
    const { budget } = this.#plan.comparison;
    if (!budget) return true;
    return tables.every((index) => {
      const left = this.#unread[index]!;
      const { table, part } = this.#plan.comparison.tables[index]!;
      const own = left * (tables.length > 1 ? tableBytes(table) : bytes);
      const sessions = Math.min(left, this.#all[this.#side].length);
      return budget.admits(this.#side, table.oid, Math.max(own, part?.bytesLeft ?? 0), sessions);
    });
  }

  async #checksum(session: Client, index: number, conditions: readonly string[]): Promise<Checksum> {
    const { comparison, readings } = this.#plan;
    const reading = readings[index]!;
    const tableToCopy = comparison.tables[index]!;
    const { table } = tableToCopy;
    if (reading.by === "copy")
      return comparison.mode === "counts"
        ? copiedCount(session, table)
        : copiedChecksum(session, table, reading.normalize);
    await this.#all.lockToQuery(this.#side, session, tableToCopy);
    const [sum] = await checksums(session, [{ table, rowHash: reading.rowHash, conditions }]);
    return sum!;
  }

  #add(index: number, sum: Checksum): void {
    this.#sums[index] = addChecksums(this.#sums[index]!, sum);
    this.#unread[index]!--;
  }
}

const apart = ({ tables, bytes, conditions }: Unit): Unit[] =>
  tables.map((index) => ({ tables: [index], bytes: bytes / tables.length, conditions }));

const rowHashOf = (reading: Reading): string | undefined => (reading.by === "query" ? reading.rowHash : undefined);

/** Reads in a transaction, or a subtransaction of a snapshot, and rolls it back, which releases the locks of the reads. */
async function withBriefLocks<Result>(
  { underSnapshots = [] }: TablesComparison,
  sessions: Partial<Record<Side, Client>>,
  read: () => Promise<Result>,
): Promise<Result> {
  const all = (run: (session: Client, inSnapshot: boolean) => Promise<unknown>): Promise<unknown> =>
    Promise.all(sides.flatMap((side) => (sessions[side] ? run(sessions[side], underSnapshots.includes(side)) : [])));
  await all(async (session, inSnapshot) => {
    if (readsBehindSavepoint.has(session)) return;
    await session.query(inSnapshot ? "SAVEPOINT read" : "BEGIN READ ONLY");
    if (inSnapshot) readsBehindSavepoint.add(session);
  });
  const result = await read();
  // The savepoint is kept for the next table.
  await all((session, inSnapshot) => session.query(inSnapshot ? "ROLLBACK TO SAVEPOINT read" : "ROLLBACK"));
  return result;
}

const readsBehindSavepoint = new WeakSet<Client>();

/** Whether the table on either side was replaced since its snapshot. Always false without a snapshot. */
async function isReplaced(
  { source, target }: { readonly source: Client; readonly target: Client },
  table: RelationName,
): Promise<boolean> {
  const replaced = await Promise.all([source, target].map((session) => tablesReplacedSince(session, [table])));
  return replaced.flat().length > 0;
}

const differencesOf = (
  pair: { source: Client; target: Client },
  { table, condition }: TableToCopy,
  how: { images: RowImages; rowHash: RowHash; rows: number; most: number; reading: Reading },
): Promise<Difference[]> =>
  how.reading.by === "copy"
    ? copiedDifferences(pair, table, { normalize: how.reading.normalize, max: how.most })
    : firstDifferences(pair, table, { ...how, condition });

function counter({ onProgress }: TablesComparison, units: readonly Unit[]): (bytesRead: number) => void {
  const bytesTotal = units.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytesCompared = 0;
  return (bytesRead) => {
    bytesCompared += bytesRead / 2;
    onProgress?.({ bytesCompared, bytesTotal });
  };
}

const unsafeMeanwhile = (tables: string): ConcurrentChangeError =>
  new ConcurrentChangeError(
    `${tables} was not compared: an index or a statistics object that calls a function was created meanwhile`,
    { remedy: "compare again" },
  );

const unsafeCondition = (table: string): RefusedError =>
  new RefusedError(
    `${table} cannot be compared: some of its rows belong to an extension, and a query over it would run a function of another role`,
    {
      remedy: `drop the indexes and statistics of ${table} that call functions, or exclude the table`,
    },
  );

function comparisonFailure(error: unknown, side: string, table: string): RefusedError | UnreachableError {
  const what = `comparing ${table}, the ${side}: ${messageOf(error)}`;
  if (isConnectionLoss(error)) return new UnreachableError(what, { cause: error });
  if (isLockTimeout(error)) return new RefusedError(what, { remedy: `on the ${side}: ${lockRemedy}`, cause: error });
  if (sqlStateOf(error) === sqlStates.insufficientPrivilege)
    return new RefusedError(what, {
      remedy:
        `on the ${side}: let the role read all rows, by GRANT SELECT ON ${table}. If row-level security applies to it, grant BYPASSRLS, ` +
        `or as the owner run ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY until it is compared`,
      cause: error,
    });
  return new RefusedError(what, {
    remedy: "check that the table exists with the same columns and that the role may read all of it",
    cause: error,
  });
}
