import type { Client } from "pg";
import { qualify } from "../postgres/identifiers.js";
import { serverVersion } from "../postgres/server-version.js";
import type { Table } from "../postgres/tables.js";

/**
 * The hash function of a row's image: the server's own hash of bytes, or the first half of its MD5. Both give 64 bits.
 */
export type RowHash = "extended" | "md5";

/** The content of a table or a part of it. Checksums of parts can be added. */
export interface Checksum {
  readonly rows: number;
  /** The sum of all rows' hashes: independent of their order, and sensitive to duplicate rows. */
  readonly hash: bigint;
}

export const emptyChecksum: Checksum = { rows: 0, hash: 0n };

export const addChecksums = (one: Checksum, other: Checksum): Checksum => ({
  rows: one.rows + other.rows,
  hash: one.hash + other.hash,
});

export const sameChecksum = (one: Checksum, other: Checksum): boolean =>
  one.rows === other.rows && one.hash === other.hash;

/** A checksum in JSON. */
export interface RecordedChecksum {
  readonly rows: number;
  readonly hash: string;
}

export const toRecord = ({ rows, hash }: Checksum): RecordedChecksum => ({ rows, hash: hash.toString() });

export const fromRecord = ({ rows, hash }: RecordedChecksum): Checksum => ({ rows, hash: BigInt(hash) });

/** The faster hash if both servers support it (11 and later) with the same result, which depends on the byte order. */
export async function chooseRowHash(source: Client, target: Client): Promise<RowHash> {
  const [one, other] = await Promise.all([probe(source), probe(target)]);
  return one !== undefined && one === other ? "extended" : "md5";
}

async function probe(client: Client): Promise<string | undefined> {
  if ((await serverVersion(client)) < 110000) return undefined;
  const { rows } = await client.query<{ hash: string }>(
    `SELECT ${hashOf("'\\x00ff10a55a01fe'::bytea", "extended")}::text AS hash`,
  );
  return rows[0]!.hash;
}

/** 64 bits, as int8, of an expression of type bytea. */
export function hashOf(image: string, hash: RowHash): string {
  // Before 18 there is no function for the extended hash of one bytea, but there is one for arrays of any hashable
  // type.
  if (hash === "extended") return `pg_catalog.hash_array_extended(ARRAY[${image}], 0)`;
  return `('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.md5(${image}), 16))::bit(64)::int8`;
}

/** A table, or a part of it, whose rows are summed. */
export interface RowsToSum {
  readonly table: Pick<Table, "schema" | "name">;
  /** An expression over the alias `r`. Undefined to count the rows only. */
  readonly rowHash: string | undefined;
  readonly conditions?: readonly string[];
}

/** Counts the tables' own rows and adds up their hashes, with one query. Returns the checksums in the given order. */
export async function checksums(client: Client, tables: readonly RowsToSum[]): Promise<Checksum[]> {
  const each = tables.map(
    ({ table, rowHash, conditions = [] }, position) =>
      `SELECT ${position} AS position, pg_catalog.count(*)::text AS rows,
              ${rowHash === undefined ? "'0'" : `coalesce(pg_catalog.sum(${rowHash}), 0)::text`} AS hash
         FROM ONLY ${qualify(table.schema, table.name)} AS r ${whereAll(conditions)}`,
  );
  const { rows } = await client.query<{ position: number; rows: string; hash: string }>(each.join(" UNION ALL "));
  const sums = tables.map(() => emptyChecksum);
  for (const { position, rows: count, hash } of rows) sums[position] = { rows: Number(count), hash: BigInt(hash) };
  return sums;
}

const whereAll = (conditions: readonly string[]): string =>
  conditions.length === 0 ? "" : `WHERE ${conditions.map((each) => `(${each})`).join(" AND ")}`;
