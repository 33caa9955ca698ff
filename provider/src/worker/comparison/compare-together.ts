import { delay } from "../../async/delay.js";
import { tableBytes, type TableToCopy } from "../../copy/tables-to-copy.js";
import { qualify, type RelationName } from "../../postgres/identifiers.js";
import type { ComparisonTasks, NewComparisonTask } from "../../store/copy-tasks/comparison-tasks.js";
import { compareTables, type TableComparison, type TablesComparison } from "../../verify/compare-tables.js";

const pollMs = 500;
/** A worker that ends first waits for about one group of the others. */
const groups = 16;
const [minSplitBytes, maxSplitBytes] = [1 << 24, 1 << 30];

/** Compares tables together with the other workers of the copy. Groups of lost workers are compared again. */
export async function compareTogether(
  tasks: ComparisonTasks,
  comparison: TablesComparison,
): Promise<{ readonly results: TableComparison[]; readonly workers: number }> {
  await tasks.replace(groupsOf(comparison.tables));
  for (;;) {
    await compareClaimed(tasks, () => Promise.resolve(comparison));
    if ((await tasks.progress()).open === 0) break;
    await delay(pollMs, comparison.signal);
    comparison.signal?.throwIfAborted();
    await tasks.takeBack();
  }
  const { results, workers } = await tasks.results();
  // The results contain key values of different rows.
  await tasks.replace([]);
  const byName = new Map(results.map((one) => [qualify(one.schema, one.table), one]));
  // Never reported as compared without a result: the leader reads what a worker omitted.
  const omitted = comparison.tables.filter(({ table }) => !byName.has(keyOf(table)));
  const own = omitted.length === 0 ? [] : await compareTables({ ...comparison, tables: omitted });
  for (const one of own) byName.set(qualify(one.schema, one.table), one);
  return { results: comparison.tables.flatMap(({ table }) => byName.get(keyOf(table)) ?? []), workers };
}

/** Compares groups of the leader's comparison until it is over. `plan` is called before the first group. */
export async function helpComparing(
  tasks: ComparisonTasks,
  plan: () => Promise<TablesComparison>,
  signal: AbortSignal,
): Promise<void> {
  let planned: Promise<TablesComparison> | undefined;
  while (!(await tasks.isOver())) {
    await compareClaimed(tasks, () => (planned ??= plan()));
    await delay(pollMs, signal);
    signal.throwIfAborted();
  }
}

async function compareClaimed(tasks: ComparisonTasks, plan: () => Promise<TablesComparison>): Promise<void> {
  for (let task = await tasks.claim(); task; task = await tasks.claim()) {
    const comparison = await plan();
    const names = new Set(task.tables.map(keyOf));
    const bytesTotal = comparison.tables.reduce((sum, { table }) => sum + tableBytes(table), 0);
    const { bytesCompared: before } = await tasks.progress();
    const results = await compareTables({
      ...comparison,
      tables: comparison.tables.filter(({ table }) => names.has(keyOf(table))),
      // A group of one large table also occupies all sessions.
      splitBytes: Math.min(maxSplitBytes, Math.max(minSplitBytes, bytesTotal / groups / comparison.jobs)),
      onProgress: ({ bytesCompared }) => comparison.onProgress?.({ bytesCompared: before + bytesCompared, bytesTotal }),
    });
    await tasks.complete(task.id, results);
  }
}

/** Groups of similar size, or of one large table, the largest first. */
function groupsOf(tables: readonly TableToCopy[]): NewComparisonTask[] {
  const bytesTotal = tables.reduce((sum, { table }) => sum + tableBytes(table), 0);
  const found: { bytes: number; tables: RelationName[] }[] = [];
  for (const { table } of [...tables].sort((one, other) => tableBytes(other.table) - tableBytes(one.table))) {
    const last = found.at(-1);
    const { schema, name } = table;
    if (last && last.bytes + tableBytes(table) <= bytesTotal / groups) {
      last.bytes += tableBytes(table);
      last.tables.push({ schema, name });
    } else found.push({ bytes: tableBytes(table), tables: [{ schema, name }] });
  }
  return found.map((group, id) => ({ id, ...group }));
}

const keyOf = ({ schema, name }: RelationName): string => qualify(schema, name);
