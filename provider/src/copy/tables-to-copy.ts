import type { Client } from "pg";
import { type SizedTable, listSizedTables } from "../postgres/tables.js";

/** A table whose rows have to be copied. */
export interface TableToCopy {
  readonly table: SizedTable;
  /**
   * SQL condition on the rows; undefined for all. It is set for extensions' tables with rows that a dump includes
   * (manual, "Extension Configuration Tables"). CREATE EXTENSION creates the other rows.
   */
  readonly condition: string | undefined;
}

/** Approximate bytes of a table's copy: heap and TOAST. */
export const tableBytes = (table: SizedTable): number => table.heapBytes + table.toastBytes;

/** Whether the table's rows take less time than the statements around their copy. */
export const isSmall = (table: SizedTable): boolean => tableBytes(table) <= 64 * 1024;

/** The tables with rows, largest first, so that the longest copy starts first. Partitioned tables have no rows. */
export async function tablesToCopy(source: Client): Promise<TableToCopy[]> {
  const tables = (await listSizedTables(source)).filter((table) => !table.partitioned);
  const conditions = await extensionConditions(source);
  return tables
    .map((table) => ({ table, condition: conditions.get(table.oid) }))
    .sort((one, other) => tableBytes(other.table) - tableBytes(one.table));
}

/** The conditions of extensions' configuration tables, by OID. */
async function extensionConditions(source: Client): Promise<Map<number, string>> {
  const { rows } = await source.query<{ table: string; condition: string }>(
    `SELECT c.oid::int8 AS table, c.condition
       FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c (oid, condition)
      WHERE c.condition <> ''`,
  );
  return new Map(rows.map(({ table, condition }) => [Number(table), condition.replace(/^\s*WHERE\b/i, "").trim()]));
}
