import type { Client } from "pg";
import { tablesWithCrossTableFunctions } from "../../copy/cross-table-dependencies.js";
import { planParts } from "../../copy/plan-parts.js";
import { isSmall, tableBytes, type TableToCopy } from "../../copy/tables-to-copy.js";
import { qualify } from "../../postgres/identifiers.js";
import { tablesUnsafeToPlan } from "../../postgres/planner-functions.js";
import type { Build, RestorePlan } from "../../schema/plan/restore-plan.js";
import type { NewCopyTask } from "../../store/copy-tasks/copy-task.js";

/** Limits the number of tasks. The parts of a table of 100 TB are therefore larger than requested. */
const maxParts = 1000;

/**
 * Plans the copy tasks (tables, parts of tables, indexes) in the order of their start.
 *
 * @param source a session in the source's database
 * @param tables largest first
 * @param splitBytes larger tables are split into parts of this size
 */
export async function planCopyTasks(
  source: Client,
  tables: readonly TableToCopy[],
  builds: RestorePlan["builds"],
  splitBytes: number,
): Promise<NewCopyTask[]> {
  const unsafe = await tablesUnsafeToPlan(source);
  const deferred = await tablesWithCrossTableFunctions(source);
  const tasks: NewCopyTask[] = [];
  for (const { table } of tables) {
    // The worker reads a part with a query, which could run functions of other roles. COPY of a whole table does not. An unlogged
    // table is copied as a whole, too: rows of a later part would hide that a crash of the target has emptied it.
    const isWhole = table.unlogged || unsafe.has(qualify(table.schema, table.name));
    const parts = isWhole ? [] : await planParts(source, table, { splitBytes, parts: maxParts });
    tasks.push(...tableTasks(table, parts, deferred.has(table.oid)));
  }
  return [...tasks, ...byCopyOrder(builds, tasks)];
}

/** @param parts conditions of the parts; empty if the table is copied as a whole */
function tableTasks(table: TableToCopy["table"], parts: readonly string[], deferred: boolean): NewCopyTask[] {
  const shares: readonly (string | undefined)[] = parts.length === 0 ? [undefined] : parts;
  return shares.map((condition) => ({
    kind: "table",
    schema: table.schema,
    table: table.name,
    entry: table.name,
    bytesTotal: Math.round(tableBytes(table) / shares.length),
    rowsEstimated: Math.max(0, Math.round(table.estimatedRows / shares.length)),
    small: condition === undefined && isSmall(table),
    ready: true,
    deferred,
    condition,
  }));
}

/**
 * Sorts the builds in the order in which their tables are copied. Builds of one table are adjacent, so that a group of
 * builds shares at most one table with a concurrent group. Otherwise two groups could deadlock.
 */
function byCopyOrder(builds: RestorePlan["builds"], tables: readonly NewCopyTask[]): NewCopyTask[] {
  const ranks = new Map(tables.map(({ schema, table }, rank) => [qualify(schema, table), rank]));
  return builds
    .map((build) => ({ build, rank: ranks.get(qualify(build.table.schema, build.table.name)) ?? tables.length }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ build, rank }) => buildTask(build, tables[rank]));
}

/** @param copied a task of its table; undefined if no rows are copied */
const buildTask = ({ entry, table }: Build, copied: NewCopyTask | undefined): NewCopyTask => ({
  kind: "index",
  schema: table.schema,
  table: table.name,
  entry: entry.name,
  bytesTotal: 0,
  rowsEstimated: 0,
  small: copied?.small ?? true,
  ready: copied === undefined,
  deferred: false,
  build: entry,
});
