import type { Random } from "./random";
import type { World } from "./world";

export type Value = string | number | boolean | Buffer | null;

/**
 * A row by column name. `rowguid` and `modifieddate` are optional: the loader derives them from the table's name and the
 * row's index.
 */
export type Row = Readonly<Record<string, Value>>;

/** The rows of a table as a function of their index from 0 to count - 1. Each row has its own `random`. */
export interface TableData {
  readonly count: number;
  row(index: number, random: Random): Row;
}

/** The data of some tables, by "schema.table". */
export type TableGenerators = Readonly<Record<string, (world: World) => TableData>>;

/** A table with the same few rows at any scale. */
export function fixed(rows: readonly Row[]): () => TableData {
  return () => ({ count: rows.length, row: (index) => rows[index]! });
}
