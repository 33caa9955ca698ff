import type { Client } from "pg";
import { tablesWithCrossTableFunctions } from "../../copy/cross-table-dependencies.js";
import { planParts } from "../../copy/plan-parts.js";
import { isSmall, tableBytes, type TableToCopy } from "../../copy/tables-to-copy.js";
import { qualify } from "../../postgres/identifiers.js";
import { tablesUnsafeToPlan } from "../../postgres/planner-functions.js";
import type { Build, RestorePlan } from "../../schema/plan/restore-plan.js";
import type { NewCopyTask } from "../../store/copy-tasks.js";

/** A table of a hundred terabytes is cut in parts larger than was asked for. */
const mostParts = 1000;

/**
 * What there is to copy and to build, in the order in which it is begun.
 *
 * @param source a session in the source's database
 * @param tables largest first
 * @param splitBytes from what size on a table is cut in parts of it
 */
export async function planCopyTasks(
  source: Client,
  tables: readonly TableToCopy[],
  builds: RestorePlan["builds"],
  splitBytes: number,
): Promise<NewCopyTask[]> {
  const unsafe = await tablesUnsafeToPlan(source);
  const late = await tablesWithCrossTableFunctions(source);
  const units: NewCopyTask[] = [];
  for (const { table } of tables) {
    // A part is read by a query, a whole table by COPY alone.
    const isWhole = unsafe.has(qualify(table.schema, table.name));
    const parts = isWhole ? [] : await planParts(source, table, { splitBytes, parts: mostParts });
    units.push(...tableUnits(table, parts, late.has(table.oid)));
  }
  return [...units, ...byTableCopied(builds, units)];
}

/** @param parts none where the table is copied as a whole */
function tableUnits(table: TableToCopy["table"], parts: readonly string[], late: boolean): NewCopyTask[] {
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
    late,
    condition,
  }));
}

/**
 * Builds in the order in which their tables are copied. Those of one table are neighbours, so that what is built together
 * shares no more than one table with what is built beside it: more, and two could wait for each other's locks.
 */
function byTableCopied(builds: RestorePlan["builds"], tables: readonly NewCopyTask[]): NewCopyTask[] {
  const ranks = new Map(tables.map(({ schema, table }, rank) => [qualify(schema, table), rank]));
  return builds
    .map((build) => ({ build, rank: ranks.get(qualify(build.table.schema, build.table.name)) ?? tables.length }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ build, rank }) => buildUnit(build, tables[rank]));
}

/** @param copied a unit of its table; undefined where no rows are copied */
const buildUnit = ({ entry, table }: Build, copied: NewCopyTask | undefined): NewCopyTask => ({
  kind: "index",
  schema: table.schema,
  table: table.name,
  entry: entry.name,
  bytesTotal: 0,
  rowsEstimated: 0,
  small: copied?.small ?? true,
  ready: copied === undefined,
  late: false,
  build: entry,
});
