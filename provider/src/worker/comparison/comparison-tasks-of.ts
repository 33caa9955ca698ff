import { planParts } from "../../copy/plan-parts.js";
import { tableBytes } from "../../copy/tables-to-copy.js";
import { withTwoSessions } from "../../postgres/connection/two-sessions.js";
import { qualify } from "../../postgres/identifiers.js";
import { tablesUnsafeToPlan } from "../../postgres/planner-functions.js";
import type { ComparisonTask, TableOfTask } from "../../store/copy-tasks/comparison-tasks.js";
import type { TablesComparison, TableToCompare } from "../../verify/compare-tables.js";

/** A worker that ends first waits for about one task of the others. */
const [minTasks, maxTasks] = [4, 16];
/** Each task opens sessions, which takes longer than to read a small table. */
const bytesPerTask = 1 << 28;
const [minSplitBytes, maxSplitBytes] = [1 << 23, 1 << 30];
/** Maximum number of parts of one table. */
const maxParts = 1024;

interface Group {
  bytes: number;
  readonly tables: TableOfTask[];
}

/**
 * Divides a comparison into tasks of similar size: groups of tables, or parts of one large table. The largest tables come first,
 * or the smallest with a time limit.
 */
export async function comparisonTasksOf(comparison: TablesComparison): Promise<ComparisonTask[]> {
  const { tables, budget } = comparison;
  const taskBytes = taskBytesOf(tables);
  const parts = await partsOfLargeTables(comparison, taskBytes);
  const bySize = tables.toSorted((one, other) => tableBytes(other.table) - tableBytes(one.table));
  const groups: Group[] = [];
  let open: Group | undefined;
  for (const { table } of budget ? bySize.toReversed() : bySize) {
    const [bytes, { schema, name, oid }] = [tableBytes(table), table];
    const conditions = parts.get(oid) ?? [];
    if (conditions.length > 0) {
      const perTask = partsPerTask(comparison.jobs, conditions.length, bytes / taskBytes);
      for (let first = 0; first < conditions.length; first += perTask) {
        const some = conditions.slice(first, first + perTask);
        groups.push({ bytes: (bytes * some.length) / conditions.length, tables: [{ schema, name, parts: some }] });
      }
      continue;
    }
    if (!open || open.bytes + bytes > taskBytes) {
      open = { bytes: 0, tables: [] };
      groups.push(open);
    }
    open.bytes += bytes;
    open.tables.push({ schema, name });
  }
  return groups.map((group, id) => ({ ...group, bytes: Math.round(group.bytes), id }));
}

/** One part for each session of a worker, unless there are too few parts for several tasks. */
const partsPerTask = (jobs: number, parts: number, tasks: number): number =>
  Math.max(1, Math.min(jobs, Math.ceil(parts / tasks)));

/** The size of one task. */
function taskBytesOf(tables: readonly TableToCompare[]): number {
  const bytesTotal = bytesOf(tables);
  return bytesTotal / Math.min(maxTasks, Math.max(minTasks, Math.ceil(bytesTotal / bytesPerTask)));
}

/** The size from which tables are split, so that one task occupies all sessions of a worker. */
export const splitBytesOf = ({ tables, jobs }: Pick<TablesComparison, "tables" | "jobs">): number =>
  Math.min(maxSplitBytes, Math.max(minSplitBytes, taskBytesOf(tables) / jobs));

export const bytesOf = (tables: readonly TableToCompare[]): number =>
  tables.reduce((sum, { table }) => sum + tableBytes(table), 0);

/** The conditions of the parts, by the OID of the table. */
async function partsOfLargeTables(comparison: TablesComparison, taskBytes: number): Promise<Map<number, string[]>> {
  const found = new Map<number, string[]>();
  const splitBytes = splitBytesOf(comparison);
  const large = comparison.tables.filter(({ table }) => tableBytes(table) >= Math.max(2 * splitBytes, taskBytes));
  if (comparison.mode === "counts" || large.length === 0) return found;
  return withTwoSessions(
    () => comparison.openSource("present"),
    () => comparison.openTarget("present"),
    async (source, target) => {
      const unsafe = await Promise.all([source, target].map((session) => tablesUnsafeToPlan(session)));
      for (const { table } of large) {
        // A query over it would run functions of other roles.
        if (unsafe.some((names) => names.has(qualify(table.schema, table.name)))) continue;
        found.set(table.oid, await planParts(source, table, { splitBytes, parts: maxParts }));
      }
      return found;
    },
  );
}
