import type { Client } from "pg";
import { type Tuple, tupleHolding, nullField, startOf } from "../model/change.js";
import type { Column, Table } from "../../postgres/tables.js";
import { serverVersion } from "../../postgres/server-version.js";

/** By what index on the target rows without a key are looked up, to be compared whole with what is looked for. */
export interface RowLookup {
  /** Of the relation; each is a column of the index. */
  readonly fields: readonly number[];
  /** How many rows share a value, as a row picked at random finds it: a look-up goes through about so many. */
  readonly rowsPerValue: number;
  readonly tableRows: number;
}

/** What prints alike is equal by `=` as well: of numbers in floating point only where all of their digits print. */
const exactlyPrinted = new Set([
  ...["int2", "int4", "int8", "numeric", "uuid", "date", "timestamp", "timestamptz"],
  ...["text", "varchar", "bpchar", "bytea"],
]);

/** Before, a row whose place another query tells is found by going through all of them. */
const firstVersionThatJoinsByPlace = 120000;

/** A look-up and the comparison of a row take so many times as long as one row's share of going through the table. */
const lookupCost = 2;

/** By the index that leaves the fewest rows to compare; undefined without one, and before ANALYZE. */
export async function rowLookup(
  target: Client,
  { oid }: Table,
  columns: readonly Column[],
): Promise<RowLookup | undefined> {
  if ((await serverVersion(target)) < firstVersionThatJoinsByPlace) return undefined;
  const usable = columns.filter(
    ({ baseTypeSchema, baseType }) => baseTypeSchema === "pg_catalog" && exactlyPrinted.has(baseType),
  );
  const { rows } = await target.query<{ names: string[]; rowsPerValue: number; tableRows: number }>(
    `SELECT array_agg(a.attname::text) AS names, min(found.rows) AS "rowsPerValue", c.reltuples AS "tableRows"
       FROM pg_index i
       JOIN pg_class c ON c.oid = i.indrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace
       CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k (attnum, opclass, position)
       JOIN pg_opclass o ON o.oid = k.opclass AND o.opcdefault
       JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND a.attname = ANY ($2)
       JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                      AND s.inherited = (c.relkind = 'p')
       CROSS JOIN LATERAL (SELECT greatest(
           c.reltuples / nullif(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * c.reltuples ELSE s.n_distinct END, 0),
           c.reltuples * (SELECT sum(f * f) FROM pg_catalog.unnest(s.most_common_freqs) AS f), 1) AS rows) AS found
      WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND c.reltuples > 0
      GROUP BY i.indexrelid, c.reltuples
     HAVING min(k.position) = 1
      ORDER BY 2, i.indexrelid LIMIT 1`,
    [oid, usable.map(({ name }) => name)],
  );
  const best = rows[0];
  return best && { ...best, fields: best.names.map((name) => columns.findIndex((column) => column.name === name)) };
}

/** Whether so many look-ups take less than going through the table once for all. */
export const isIndexLookupCheaper = ({ rowsPerValue, tableRows }: RowLookup, lookups: number): boolean =>
  lookupCost * lookups * rowsPerValue < tableRows;

/** NULL is equal to nothing by `=`. */
export const mayLookUp = ({ fields }: RowLookup, row: Tuple): boolean =>
  fields.every((field) => {
    const holder = tupleHolding(row, field);
    return holder !== undefined && startOf(holder, field) !== nullField;
  });
