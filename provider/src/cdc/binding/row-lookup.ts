import type { Client } from "pg";
import { type Tuple, tupleHolding, nullField, startOf } from "../model/change.js";
import type { Column, Table } from "../../postgres/tables.js";
import { serverVersion } from "../../postgres/server-version.js";

/** An index on the target that finds candidates for a row without a key. The candidates are then compared completely. */
export interface RowLookup {
  /** Fields of the relation. Each is a column of the index. */
  readonly fields: readonly number[];
  /** How many rows share the value of a randomly chosen row. A look-up compares about this many rows. */
  readonly rowsPerValue: number;
  readonly tableRows: number;
}

/** Types whose values are equal by `=` if their text is equal. Not float4 and float8, whose text depends on a setting. */
const exactlyPrinted = new Set([
  ...["int2", "int4", "int8", "numeric", "uuid", "date", "timestamp", "timestamptz"],
  ...["text", "varchar", "bpchar", "bytea"],
]);

/** Earlier versions scan the table to join it with a list of ctids. */
const firstVersionWithTidJoin = 120000;

/** The cost of a look-up with the comparison of a row, relative to the cost of one row in a sequential scan. */
const lookupCost = 2;

/** The index with the fewest rows to compare; undefined without a suitable index, and before ANALYZE. */
export async function rowLookup(
  target: Client,
  { oid }: Table,
  columns: readonly Column[],
): Promise<RowLookup | undefined> {
  if ((await serverVersion(target)) < firstVersionWithTidJoin) return undefined;
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

/** Whether this number of look-ups is cheaper than one scan of the table for all of them. */
export const isIndexLookupCheaper = ({ rowsPerValue, tableRows }: RowLookup, lookups: number): boolean =>
  lookupCost * lookups * rowsPerValue < tableRows;

/** Whether all fields of the index have values. `=` finds no NULL. */
export const mayLookUp = ({ fields }: RowLookup, row: Tuple): boolean =>
  fields.every((field) => {
    const holder = tupleHolding(row, field);
    return holder !== undefined && startOf(holder, field) !== nullField;
  });
