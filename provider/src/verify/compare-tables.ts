import type { Client } from "pg";
import { cancellation } from "../copy/cancellation.js";
import { requestCancel } from "../postgres/cancel-request.js";
import { useSearchPath } from "../copy/search-path.js";
import { planParts } from "../copy/parts.js";
import { tableBytes, type TableToCopy } from "../copy/tables-to-copy.js";
import { Refused, Unreachable, messageOf } from "../errors.js";
import { isConnectionLoss } from "../postgres/connection-loss.js";
import { qualify } from "../postgres/identifiers.js";
import {
  type Checksum,
  type RowHash,
  addChecksums,
  checksum,
  chooseRowHash,
  emptyChecksum,
  hashOf,
  sameChecksum,
} from "./checksum.js";
import { type Difference, firstDifferences } from "./first-differences.js";
import { RowImages } from "./row-image.js";

export interface TableComparison {
  readonly schema: string;
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly equal: boolean;
  /** Up to ten rows that differ; empty where only rows were counted. */
  readonly firstDifferences: readonly Difference[];
  /** Under snapshots: it was truncated or rewritten meanwhile, which no snapshot is proof against: compare it anew. */
  readonly replaced?: true;
}

export interface TablesComparison {
  /** Opens a session whose transaction sees what is to be compared; {@link compareTables} ends it. */
  readonly openSource: () => Promise<Client>;
  readonly openTarget: () => Promise<Client>;
  /**
   * The sessions of both sides are in transactions of their own, which see no later writes. A table's lock is then let go
   * as soon as it is read, so that neither a TRUNCATE nor the stream of changes waits for all the others.
   */
  readonly underSnapshots?: boolean;
  /** The source's tables, which are looked for by name on the target. */
  readonly tables: readonly TableToCopy[];
  /** `counts` compares numbers of rows; `content` every stored value. */
  readonly mode: "counts" | "content";
  /** The search_path of the source's database, under which its indexes' functions can be planned; none unless told. */
  readonly searchPath?: string | undefined;
  /** Sessions per side. */
  readonly jobs: number;
  /** Content of tables from this size on is read in parts by several sessions; 1 GiB unless told. */
  readonly splitBytes?: number;
  /** Told after each table, or part of one, how many of them are done on either side. */
  readonly onProgress?: ((done: number, all: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Side = "source" | "target";

/** One query: a table, or a part of one, on one side. */
interface Unit {
  readonly table: number;
  readonly conditions: readonly string[];
}

const usualSplitBytes = 1 << 30;
const partsPerJob = 4;
const mostDifferences = 10;

/**
 * Compares tables' rows, both sides at once and large tables in parts. Only sums leave the servers, so that the time it
 * takes is the slower server's for one read of its tables. Generated columns are left out: each server computes its own.
 *
 * @returns one comparison per table, in the order given
 * @throws Refused when a server refuses a table, which it may not have
 * @throws Unreachable when a connection breaks
 * @throws the error that the signal was aborted with, or Canceled
 */
export async function compareTables(comparison: TablesComparison): Promise<TableComparison[]> {
  const sessions = new Sessions(comparison);
  const cancel = (): void => void sessions.cancel();
  comparison.signal?.addEventListener("abort", cancel);
  try {
    await sessions.open();
    const [source, target] = [sessions.source[0]!, sessions.target[0]!];
    const images = await RowImages.of(source);
    const rowHash = await chooseRowHash(source, target);
    const rowHashes = comparison.tables.map(({ table }) =>
      comparison.mode === "content" ? hashOf(images.image(table, "r"), rowHash) : undefined,
    );
    await sessions.useSearchPath();
    const units = await planUnits(source, comparison);
    const progress = counter(comparison, units.length * 2);
    const sums = (side: Side): Promise<Checksum[]> =>
      sumAll(sessions[side], side, units, rowHashes, comparison, progress);
    const [sourceSums, targetSums] = await Promise.all([sums("source"), sums("target")]);

    const compared: TableComparison[] = [];
    for (const [i, tableToCopy] of comparison.tables.entries()) {
      const [one, other] = [sourceSums[i]!, targetSums[i]!];
      const equal = sameChecksum(one, other);
      const how = { images, rowHash, rows: Math.max(one.rows, other.rows), most: mostDifferences };
      const { schema, name } = tableToCopy.table;
      const differences =
        equal || comparison.mode === "counts"
          ? []
          : await lettingGo(comparison, [source, target], () => differencesOf({ source, target }, tableToCopy, how));
      const rows = { sourceRows: one.rows, targetRows: other.rows };
      const result = { schema, table: name, ...rows, equal, firstDifferences: differences };
      const replaced = !equal && comparison.underSnapshots === true && (await isReplaced(source, target, schema, name));
      compared.push(replaced ? { ...result, replaced } : result);
    }
    return compared;
  } catch (error) {
    // What other sessions still compute is of no use, and ending a session waits for it.
    await sessions.cancel();
    throw error;
  } finally {
    comparison.signal?.removeEventListener("abort", cancel);
    await sessions.end();
  }
}

/** The sessions of both sides, as many as there are jobs. */
class Sessions {
  readonly source: Client[] = [];
  readonly target: Client[] = [];
  readonly #comparison: TablesComparison;

  constructor(comparison: TablesComparison) {
    this.#comparison = comparison;
  }

  async open(): Promise<void> {
    for (let job = 0; job < Math.max(1, this.#comparison.jobs); job++) {
      this.source.push(await this.#comparison.openSource());
      this.target.push(await this.#comparison.openTarget());
    }
  }

  /** Not from the beginning: row images have to name types with their schemas. */
  async useSearchPath(): Promise<void> {
    const { searchPath = "" } = this.#comparison;
    await Promise.all([...this.source, ...this.target].map((session) => useSearchPath(session, searchPath)));
  }

  async cancel(): Promise<void> {
    await Promise.all([...this.source, ...this.target].map(requestCancel));
  }

  async end(): Promise<void> {
    await Promise.all([...this.source, ...this.target].map((session) => session.end()));
  }
}

/** Largest tables first. The same conditions serve both sides: the parts hold every row once on either. */
async function planUnits(
  source: Client,
  { tables, jobs, mode, splitBytes = usualSplitBytes }: TablesComparison,
): Promise<Unit[]> {
  const bySize = tables.map((each, table) => ({ ...each, index: table }));
  bySize.sort((one, other) => tableBytes(other.table) - tableBytes(one.table));
  const units: Unit[] = [];
  for (const { table, condition, index } of bySize) {
    const parts = mode === "counts" ? [] : await planParts(source, table, { splitBytes, parts: jobs * partsPerJob });
    const own = condition === undefined ? [] : [condition];
    if (parts.length === 0) units.push({ table: index, conditions: own });
    for (const part of parts) units.push({ table: index, conditions: [...own, part] });
  }
  return units;
}

/** Has a side's sessions take unit after unit; answers each table's sum. */
async function sumAll(
  sessions: readonly Client[],
  side: Side,
  units: readonly Unit[],
  rowHashes: readonly (string | undefined)[],
  comparison: TablesComparison,
  progress: () => void,
): Promise<Checksum[]> {
  const { tables, signal } = comparison;
  const sums = tables.map(() => emptyChecksum);
  const waiting = units.values();
  let failed = false;
  const work = async (session: Client): Promise<void> => {
    for (const { table: index, conditions } of waiting) {
      if (failed) return;
      if (signal?.aborted) throw cancellation("the comparison", signal);
      const { table } = tables[index]!;
      try {
        const sum = await lettingGo(comparison, [session], () =>
          checksum(session, table, rowHashes[index], conditions),
        );
        sums[index] = addChecksums(sums[index]!, sum);
      } catch (error) {
        failed = true;
        if (signal?.aborted) throw cancellation("the comparison", signal);
        throw comparisonFailure(error, side, qualify(table.schema, table.name));
      }
      progress();
    }
  };
  await Promise.all(sessions.map(work));
  return sums;
}

/** Under snapshots, reads in a subtransaction that is rolled back: with it go the locks that the reading took. */
async function lettingGo<Result>(
  { underSnapshots }: TablesComparison,
  sessions: readonly Client[],
  read: () => Promise<Result>,
): Promise<Result> {
  if (!underSnapshots) return read();
  const all = (sql: string): Promise<unknown> => Promise.all(sessions.map((session) => session.query(sql)));
  await all("SAVEPOINT read");
  const result = await read();
  await all("ROLLBACK TO SAVEPOINT read; RELEASE SAVEPOINT read");
  return result;
}

/** Whether on either side the table has another file than the one that its snapshot belongs to. */
async function isReplaced(source: Client, target: Client, schema: string, table: string): Promise<boolean> {
  const sides = await Promise.all(
    [source, target].map((session) =>
      session.query(
        // The function answers what is so now, the column what the transaction sees.
        `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = $1 AND c.relname = $2 AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)`,
        [schema, table],
      ),
    ),
  );
  return sides.some(({ rowCount }) => rowCount !== 0);
}

async function differencesOf(
  sides: { source: Client; target: Client },
  { table, condition }: TableToCopy,
  how: { images: RowImages; rowHash: RowHash; rows: number; most: number },
): Promise<Difference[]> {
  try {
    return await firstDifferences(sides, table, { ...how, condition });
  } catch (error) {
    throw comparisonFailure(error, "source or the target", qualify(table.schema, table.name));
  }
}

function counter({ onProgress }: TablesComparison, all: number): () => void {
  let done = 0;
  return () => onProgress?.(++done, all);
}

function comparisonFailure(error: unknown, side: Side | "source or the target", table: string): Refused | Unreachable {
  const what = `comparing ${table}, the ${side}: ${messageOf(error)}`;
  if (isConnectionLoss(error)) return new Unreachable(what, { cause: error });
  return new Refused(what, {
    remedy: "check that the table is there with the same columns and that the role may read all of it",
    cause: error,
  });
}
