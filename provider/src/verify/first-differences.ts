import type { Client } from "pg";
import { qualify, quoteIdentifier, quoteLiteral } from "../postgres/identifiers.js";
import { type Table, storedColumns } from "../postgres/tables.js";
import { type RowHash, hashOf } from "./checksum.js";
import { type RowImages, textOf } from "./row-image.js";

export interface Difference {
  /** The primary key's columns and values, `id = 7`. Without a primary key, the row as truncated text. */
  readonly key: string;
  /** The state of the target's row, compared with the source. */
  readonly kind: "missing" | "unexpected" | "different";
}

/** Identification and content of a row, as expressions over the alias `r`. */
interface RowTerms {
  readonly from: string;
  readonly identity: string;
  readonly hash: string;
  readonly label: string;
}

export interface RowGroup {
  readonly identity: string;
  readonly label: string;
  readonly hash: string;
  readonly rows: number;
}

/** Rows per bucket, and the maximum number of buckets. Both are read into memory with one line each. */
const rowsPerBucket = 500;
const maxBuckets = 1 << 16;
/** Maximum length of a row without a key in a message. */
const maxLabelCharacters = 200;
const concatenate = " OPERATOR(pg_catalog.||) ";

/**
 * Finds the first rows that differ. Rows are assigned to buckets by a hash of their key, and the buckets' checksums are
 * compared. Only the rows of different buckets are read. It reads the table twice on each side.
 */
export async function firstDifferences(
  sides: { readonly source: Client; readonly target: Client },
  table: Table,
  how: { images: RowImages; rowHash: RowHash; rows: number; most: number; condition?: string | undefined },
): Promise<Difference[]> {
  const terms = rowTerms(table, how.images, how.rowHash, how.condition);
  const buckets = Math.min(maxBuckets, Math.max(1, Math.ceil(how.rows / rowsPerBucket)));
  const bucket = `pg_catalog.mod(${terms.identity}, ${buckets})`;
  const [sourceSums, targetSums] = await Promise.all([
    bucketSums(sides.source, terms, bucket),
    bucketSums(sides.target, terms, bucket),
  ]);
  const differing = [...new Set([...sourceSums.keys(), ...targetSums.keys()])]
    .filter((each) => sourceSums.get(each) !== targetSums.get(each))
    .slice(0, how.most);
  const found: Difference[] = [];
  for (const each of differing) {
    const only = `${bucket} OPERATOR(pg_catalog.=) ${BigInt(each)}`;
    const [source, target] = await Promise.all([
      rowGroups(sides.source, terms, only),
      rowGroups(sides.target, terms, only),
    ]);
    found.push(...compareGroups(source, target));
    if (found.length >= how.most) break;
  }
  return firstOf(found, how.most);
}

/** Sorted by key. */
export const firstOf = (found: readonly Difference[], most: number): Difference[] =>
  found.toSorted((one, other) => one.key.localeCompare(other.key, "en", { numeric: true })).slice(0, most);

function rowTerms(table: Table, images: RowImages, rowHash: RowHash, condition: string | undefined): RowTerms {
  const hash = hashOf(images.image(table, "r"), rowHash);
  const where = condition === undefined ? "" : `WHERE (${condition})`;
  const from = `FROM ONLY ${qualify(table.schema, table.name)} AS r ${where}`;
  const key = table.columns.filter((column) => table.primaryKey.includes(column.name));
  if (key.length === 0) {
    const columns = storedColumns(table).map(({ name }) => `r.${quoteIdentifier(name)}`);
    return {
      from,
      identity: hash,
      hash,
      label: `pg_catalog.left(ROW(${columns.join(", ")})::text, ${maxLabelCharacters})`,
    };
  }
  const label = key.map(({ name }) => quoteLiteral(`${name} = `) + concatenate + textOf(`r.${quoteIdentifier(name)}`));
  return {
    from,
    identity: hashOf(images.image(table, "r", key), rowHash),
    hash,
    label: label.join(`${concatenate}', '${concatenate}`),
  };
}

/** Each bucket's number of rows and checksum, as one text. */
async function bucketSums(client: Client, { from, hash }: RowTerms, bucket: string): Promise<Map<string, string>> {
  const { rows } = await client.query<{ bucket: string; sum: string }>(
    `SELECT ${bucket}::text AS bucket, pg_catalog.count(*)${concatenate}':'${concatenate}pg_catalog.sum(${hash}) AS sum ${from} GROUP BY ${bucket}`,
  );
  return new Map(rows.map(({ bucket, sum }) => [bucket, sum]));
}

async function rowGroups(client: Client, terms: RowTerms, only: string): Promise<Map<string, RowGroup>> {
  const { rows } = await client.query<RowGroup>(
    `SELECT identity::text, pg_catalog.min(label) AS label, pg_catalog.sum(hash)::text AS hash, pg_catalog.count(*)::int AS rows
       FROM (SELECT ${terms.identity} AS identity, ${terms.hash} AS hash, ${terms.label} COLLATE "C" AS label
               ${terms.from} ${terms.from.includes(" WHERE (") ? "AND" : "WHERE"} ${only}) AS each
      GROUP BY identity`,
  );
  return new Map(rows.map((row) => [row.identity, row]));
}

export function compareGroups(
  source: ReadonlyMap<string, RowGroup>,
  target: ReadonlyMap<string, RowGroup>,
): Difference[] {
  const found: Difference[] = [];
  for (const identity of new Set([...source.keys(), ...target.keys()])) {
    const one = source.get(identity);
    const other = target.get(identity);
    const key = (one ?? other)!.label;
    const [rows, twins] = [one?.rows ?? 0, other?.rows ?? 0];
    if (rows > twins) found.push({ key, kind: "missing" });
    else if (rows < twins) found.push({ key, kind: "unexpected" });
    else if (one?.hash !== other?.hash) found.push({ key, kind: "different" });
  }
  return found;
}
