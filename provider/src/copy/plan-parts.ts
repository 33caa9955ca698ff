import type { Client } from "pg";
import { quoteIdentifier, qualify } from "../postgres/identifiers.js";
import { lockRelations } from "../postgres/locks/lock-relations.js";
import { isUnsafeToPlan } from "../postgres/planner-functions.js";
import { serverVersion } from "../postgres/server-version.js";
import type { SizedTable, Table } from "../postgres/tables.js";
import { inTransaction } from "../postgres/transaction.js";
import { tableBytes } from "./tables-to-copy.js";

export interface PartsOptions {
  /** Minimum size of a table that is split: heap and TOAST together. */
  readonly splitBytes: number;
  /** Maximum number of parts. */
  readonly parts: number;
}

const integerTypes: ReadonlySet<string> = new Set(["int2", "int4", "int8"]);

/**
 * Splits a large table into parts that several sessions can read with one snapshot. Each part is an SQL condition. The
 * first is unbounded below and the last above, so that together they contain each row exactly once, even with outdated
 * statistics. For a table that is not split, the result is empty.
 *
 * From PostgreSQL 14 on, parts are ranges of blocks. Before 14, they are ranges of a primary key with one integer
 * column; other tables are not split. Ranges of blocks are valid only until the table is rewritten: see
 * {@link Snapshot.lockTables}.
 *
 * @param source a session outside a transaction
 */
export async function planParts(source: Client, table: SizedTable, options: PartsOptions): Promise<string[]> {
  const wanted = Math.min(options.parts, Math.ceil(tableBytes(table) / options.splitBytes));
  if (wanted < 2) return [];
  if ((await serverVersion(source)) >= 140000) return blockRanges(source, table, wanted);
  return keyRanges(source, table, wanted);
}

async function blockRanges(source: Client, table: SizedTable, wanted: number): Promise<string[]> {
  const { rows } = await source.query<{ bytes: string }>("SELECT current_setting('block_size') AS bytes");
  const blocks = Math.ceil(table.heapBytes / Number(rows[0]!.bytes));
  const parts = Math.min(wanted, blocks);
  const bounds = Array.from({ length: parts - 1 }, (_, i) => Math.floor((blocks * (i + 1)) / parts));
  return ranges(
    "ctid",
    bounds.map((block) => `'(${block},0)'::pg_catalog.tid`),
  );
}

async function keyRanges(source: Client, table: Table, wanted: number): Promise<string[]> {
  const [name, ...others] = table.primaryKey;
  const key = table.columns.find((column) => column.name === name);
  if (!key || others.length > 0 || key.baseTypeSchema !== "pg_catalog" || !integerTypes.has(key.baseType)) return [];
  const values = await keySample(source, table, key.name);
  const bounds = Array.from({ length: wanted - 1 }, (_, i) => values[Math.floor((values.length * (i + 1)) / wanted)]);
  const distinct = [...new Set(bounds.filter((bound) => bound !== undefined))];
  return ranges(
    // An operator that a user created for a domain is not considered for its base type.
    `${quoteIdentifier(key.name)}::pg_catalog.${key.baseType}`,
    distinct.map((bound) => `'${BigInt(bound)}'::pg_catalog.int8`),
  );
}

/**
 * Some values of the key in order, spread over the rows: from ANALYZE's histogram, otherwise equal steps between
 * minimum and maximum.
 */
async function keySample(source: Client, { schema, name }: Table, key: string): Promise<string[]> {
  const histogram = await source.query<{ bounds: string[] | null }>(
    `SELECT histogram_bounds::text::int8[]::text[] AS bounds FROM pg_stats
      WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited`,
    [schema, name, key],
  );
  const bounds = histogram.rows[0]?.bounds;
  if (bounds) return bounds;
  const column = quoteIdentifier(key);
  return inTransaction(source, async () => {
    await lockRelations(source, [{ schema, name }], "table");
    if (await isUnsafeToPlan(source, { schema, name })) return [];
    const steps = await source.query<{ value: string }>(
      `SELECT trunc(lowest + (highest - lowest) * step / 100)::text AS value
         FROM (SELECT min(${column})::numeric AS lowest, max(${column})::numeric AS highest
                 FROM ONLY ${qualify(schema, name)}) AS ends, generate_series(0, 99) AS step
        WHERE lowest IS NOT NULL
        ORDER BY step`,
    );
    return steps.rows.map(({ value }) => value);
  });
}

/**
 * `x < b1`, `x >= b1 AND x < b2`, …, `x >= bn`. The conditions are also used with the application's search_path, in which
 * other roles may have created operators.
 */
function ranges(what: string, bounds: readonly string[]): string[] {
  if (bounds.length === 0) return [];
  const lower = [undefined, ...bounds];
  return lower.map((from, i) => {
    const to = bounds[i];
    const above = from === undefined ? [] : [`${what} OPERATOR(pg_catalog.>=) ${from}`];
    const below = to === undefined ? [] : [`${what} OPERATOR(pg_catalog.<) ${to}`];
    return [...above, ...below].join(" AND ");
  });
}
