import type { Client } from "pg";
import { type SizedTable, listSizedTables } from "../postgres/tables.js";

/** A table whose rows have to be copied. */
export interface TableToCopy {
  readonly table: SizedTable;
  /**
   * Which rows, as an SQL condition; undefined for all. Extensions name the rows of their own tables that a dump has to
   * carry (manual, "Extension Configuration Tables"); the others are made by CREATE EXTENSION.
   */
  readonly condition: string | undefined;
}

/** The bytes that a table's copy has to move, roughly: heap and TOAST. */
export const tableBytes = (table: SizedTable): number => table.heapBytes + table.toastBytes;

/** Whether a table has so few rows that what surrounds its copy takes longer than they do. */
export const isSmall = (table: SizedTable): boolean => tableBytes(table) <= 64 * 1024;

/** The tables that hold rows, largest first, so that the longest copy begins first. Partitioned tables hold none. */
export async function tablesToCopy(source: Client): Promise<TableToCopy[]> {
  const tables = (await listSizedTables(source)).filter((table) => !table.partitioned);
  const conditions = await extensionConditions(source);
  return tables
    .map((table) => ({ table, condition: conditions.get(table.oid) }))
    .sort((one, other) => tableBytes(other.table) - tableBytes(one.table));
}

/** The condition of each configuration table that has one, by the table's OID. */
async function extensionConditions(source: Client): Promise<Map<number, string>> {
  const { rows } = await source.query<{ table: string; condition: string }>(
    `SELECT c.oid::int8 AS table, c.condition
       FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c (oid, condition)
      WHERE c.condition <> ''`,
  );
  return new Map(rows.map(({ table, condition }) => [Number(table), condition.replace(/^\s*WHERE\b/i, "").trim()]));
}
