import { randomUUID } from "node:crypto";
import { delay } from "../../async/delay.js";
import { PeriodicTask } from "../../async/periodic-task.js";
import { engineVersion } from "../../engine-version.js";
import { CanceledError } from "../../errors.js";
import { qualify, type RelationName } from "../../postgres/identifiers.js";
import {
  ComparisonTasks,
  type ClaimedComparison,
  type ComparisonTask,
} from "../../store/copy-tasks/comparison-tasks.js";
import { countHelpers } from "../../store/copy-tasks/shared-comparison.js";
import { addChecksums, fromRecord, sameChecksum } from "../../verify/checksum.js";
import { compareTables, released, type TableComparison, type TablesComparison } from "../../verify/compare-tables.js";
import { inSnapshot } from "./in-snapshot.js";
import { bytesOf, comparisonTasksOf, splitBytesOf } from "./comparison-tasks-of.js";
import { type ComparisonPlace, HelperWatch } from "./helper-watch.js";
import type { Work } from "../context/work.js";

const pollMs = 500;
/** Less is compared in the time that other processes need to join. */
const minSharedBytes = 1 << 25;

/** Compares tables, together with the helpers on this machine and those that stand by, if this is worth their start. */
export async function compareWithHelpers(
  work: Work,
  place: ComparisonPlace,
  comparison: TablesComparison,
): Promise<TableComparison[]> {
  const { helpers, journal } = work;
  if (!helpers || bytesOf(comparison.tables) < minSharedBytes) return compareTables(comparison);
  if (helpers.count === 0 && (await countHelpers(journal.lease)) === 0) return compareTables(comparison);
  // Most comparisons end before new processes could help, and a cutover would wait for their start and end.
  return helpers.during(() => compareTogether(work, place, comparison), false);
}

/** Compares tables together with other workers. Tasks of lost workers are compared again. */
export async function compareTogether(
  work: Work,
  place: ComparisonPlace,
  comparison: TablesComparison,
): Promise<TableComparison[]> {
  const { database, ...how } = place;
  const { journal } = work;
  const { signal, mode, budget } = comparison;
  const id = randomUUID();
  const tasks = new ComparisonTasks(journal.lease, database, id);
  const txidSnapshot = await inSnapshot(comparison.openSource);
  const planned = await comparisonTasksOf(comparison);
  const budgetSeconds = budget?.seconds;
  const description = { ...how, id, engineVersion, mode, txidSnapshot, budgetSeconds };
  await tasks.begin(description, planned, comparison.targetRests === undefined);
  const watch = new HelperWatch(work, place, tasks);
  try {
    // A rejection ends the comparison below, in this process's own task.
    void comparison.targetRests?.then(() => tasks.targetRests()).catch(() => undefined);
    for (let isOver = false; !isOver;) {
      await compareClaimed(tasks, comparison);
      isOver = await isComplete(tasks, signal);
    }
    const { results, workers } = await tasks.results();
    await journal.event(`${workers === 1 ? "1 worker" : `${workers} workers`} compared the tables`, { database });
    return await merged(comparison, planned, results);
  } finally {
    await watch.close();
    // If this fails, the lease is lost, and the successor removes the comparison.
    await tasks.end().catch(() => undefined);
  }
}

async function isComplete(tasks: ComparisonTasks, signal: AbortSignal | undefined): Promise<boolean> {
  if ((await tasks.progress()).open === 0) return true;
  await delay(pollMs, signal);
  signal?.throwIfAborted();
  return false;
}

/**
 * Compares tasks of the leader's comparison until it is over.
 *
 * @param plan is called before the first task is claimed. Its signal aborts at the end of the comparison. Its promise resolves when
 *   the target rests, with the seconds that have passed since then
 */
export async function helpComparing(
  tasks: ComparisonTasks,
  plan: (over: AbortSignal, targetRests: Promise<number>) => Promise<TablesComparison>,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const end = AbortSignal.any([signal, over.signal]);
  let rest: (seconds: number) => void = () => undefined;
  const targetRests = new Promise<number>((resolve) => (rest = resolve));
  // A canceled comparison must not wait for the target any longer.
  end.addEventListener("abort", () => rest(0), { once: true });
  const isOver = new CanceledError("the comparison is over");
  const look = async (): Promise<void> => {
    const state = await tasks.state();
    if (!state) over.abort(isOver);
    else if (state.restsForSeconds !== undefined) rest(state.restsForSeconds);
  };
  const looking = new PeriodicTask({ everyMs: pollMs, run: look, onFailure: (error) => over.abort(error) });
  try {
    const comparison = await plan(end, targetRests);
    for (;;) {
      await compareClaimed(tasks, comparison);
      await delay(pollMs, end);
      end.throwIfAborted();
    }
  } catch (error) {
    if (signal.aborted || over.signal.reason !== isOver) throw error;
  } finally {
    await looking.close();
  }
}

async function compareClaimed(tasks: ComparisonTasks, comparison: TablesComparison): Promise<void> {
  const bytesTotal = bytesOf(comparison.tables);
  const splitBytes = splitBytesOf(comparison);
  for (let task = await tasks.claim(); task; task = await tasks.claim()) {
    const { bytesCompared: before } = await tasks.progress();
    const tables = tablesOfTask(comparison, task);
    const isLate = comparison.budget?.spent.aborted ?? false;
    const results = isLate
      ? []
      : await compareTables({
          ...comparison,
          tables,
          splitBytes,
          onProgress: ({ bytesCompared }) =>
            comparison.onProgress?.({ bytesCompared: before + bytesCompared, bytesTotal }),
        });
    await tasks.complete(task.id, results);
  }
}

function tablesOfTask({ tables }: TablesComparison, { tables: named, bytes, bytesLeft }: ClaimedComparison) {
  const parts = new Map(named.map((one) => [keyOf(one), one.parts]));
  return tables
    .filter(({ table }) => parts.has(keyOf(table)))
    .map((one) => {
      const conditions = parts.get(keyOf(one.table));
      return conditions ? { ...one, part: { conditions, bytes, bytesLeft } } : one;
    });
}

/**
 * One result for each table, in the order of the tables; with a time limit only for those within it. The limit also ends the search
 * for the different rows of a table that was compared in parts.
 */
export async function merged(
  comparison: TablesComparison,
  planned: readonly ComparisonTask[],
  results: readonly TableComparison[],
): Promise<TableComparison[]> {
  const found = grouped(results, (one) => qualify(one.schema, one.table));
  const tasksOf = grouped(
    planned.flatMap(({ tables }) => tables),
    keyOf,
  );
  const whole = new Map<string, TableComparison>();
  const again: TablesComparison["tables"][number][] = [];
  for (const table of comparison.tables) {
    const key = keyOf(table.table);
    const all = found.get(key) ?? [];
    const one = all.length === tasksOf.get(key)?.length ? sumOf(all) : undefined;
    if (one) whole.set(key, one);
    // Never reported as compared without a result: the leader reads what a worker omitted, and searches for the rows that differ.
    if (one ? isDifferentSum(one, all) : !comparison.budget) again.push(table);
  }
  const isLate = comparison.budget?.spent.aborted ?? false;
  const own = again.length === 0 || isLate ? [] : await compareTables({ ...comparison, tables: again });
  for (const one of own) whole.set(qualify(one.schema, one.table), one);
  return comparison.tables.flatMap(({ table }) => whole.get(keyOf(table)) ?? []);
}

/** The result of a table from those of its parts, without the rows that differ. Undefined without a result for each part. */
function sumOf(parts: readonly TableComparison[]): TableComparison | undefined {
  const [first, ...others] = parts;
  if (!first || (!first.sums && others.length === 0)) return first;
  const { schema, table, by } = first;
  if (parts.some(({ replaced }) => replaced)) return released(schema, table, by);
  const sums = parts.flatMap((one) => (one.sums ? [one.sums] : []));
  const source = sums.map((one) => fromRecord(one.source)).reduce(addChecksums);
  const target = sums.map((one) => fromRecord(one.target)).reduce(addChecksums);
  if (sums.length < parts.length) return undefined;
  const equal = sameChecksum(source, target);
  return { schema, table, by, sourceRows: source.rows, targetRows: target.rows, equal, firstDifferences: [] };
}

const isDifferentSum = ({ equal, replaced }: TableComparison, parts: readonly TableComparison[]): boolean =>
  !equal && !replaced && parts.some(({ sums }) => sums);

function grouped<One>(all: readonly One[], keyOfOne: (one: One) => string): Map<string, One[]> {
  const groups = new Map<string, One[]>();
  for (const one of all) groups.set(keyOfOne(one), [...(groups.get(keyOfOne(one)) ?? []), one]);
  return groups;
}

const keyOf = ({ schema, name }: RelationName): string => qualify(schema, name);
