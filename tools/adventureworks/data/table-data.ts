import type { Random } from "./random";
import type { World } from "./world";

export type Value = string | number | boolean | Buffer | null;

/**
 * A row by column name. It may leave out `rowguid` and `modifieddate`, which the loader then derives from the table's
 * name and the row's index.
 */
export type Row = Readonly<Record<string, Value>>;

/** All rows of a table as a function of their index, 0 to count - 1; `random` is the row's own. */
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
