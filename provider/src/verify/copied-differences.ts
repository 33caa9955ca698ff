import type { Client } from "pg";
import { type Table, storedColumns } from "../postgres/tables.js";
import { type NormalizeRow, hashOfBytes, readCopiedRows } from "./copied-rows.js";
import { type Difference, type RowGroup, compareGroups, firstOf } from "./first-differences.js";

const buckets = 1 << 14;
const maxLabelCharacters = 200;

interface CopiedRow {
  readonly identity: bigint;
  readonly hash: bigint;
  readonly label: () => string;
}

/**
 * Implements {@link firstDifferences} for a table that is read with COPY. It reads the table twice on each side: first
 * the checksums of key buckets, then the rows of buckets that differ.
 */
export async function copiedDifferences(
  sides: { readonly source: Client; readonly target: Client },
  table: Table,
  { normalize, max }: { readonly normalize: NormalizeRow; readonly max: number },
): Promise<Difference[]> {
  const toRow = rowReader(table, normalize);
  const [source, target] = await Promise.all([
    bucketSums(sides.source, table, toRow),
    bucketSums(sides.target, table, toRow),
  ]);
  const differing = source.flatMap((sum, bucket) => (sum === target[bucket] ? [] : [bucket])).slice(0, max);
  const wanted = new Set(differing);
  const [sourceRows, targetRows] = await Promise.all([
    rowGroups(sides.source, table, toRow, wanted),
    rowGroups(sides.target, table, toRow, wanted),
  ]);
  return firstOf(compareGroups(sourceRows, targetRows), max);
}

/** Identifies a row by its primary key, or by all columns without one. */
function rowReader(table: Table, normalize: NormalizeRow): (row: Buffer) => CopiedRow {
  const columns = storedColumns(table);
  const keys = columns.flatMap(({ name }, index) => (table.primaryKey.includes(name) ? [{ name, index }] : []));
  return (row) => {
    const normalized = normalize(row);
    const hash = hashOfBytes(normalized);
    if (keys.length === 0)
      return {
        hash,
        identity: hash,
        label: () => `(${row.toString().replaceAll("\t", ",").slice(0, maxLabelCharacters)})`,
      };
    const values = normalized.toString("latin1").split("\t");
    const key = keys.map(({ index }) => values[index]!).join("\t");
    const label = (): string =>
      keys.map(({ name, index }) => `${name} = ${Buffer.from(values[index]!, "latin1").toString()}`).join(", ");
    return { hash, identity: hashOfBytes(Buffer.from(key, "latin1")), label };
  };
}

const bucketOf = ({ identity }: CopiedRow): number => Number(BigInt.asUintN(64, identity) % BigInt(buckets));

async function bucketSums(session: Client, table: Table, toRow: (row: Buffer) => CopiedRow): Promise<bigint[]> {
  const sums = Array.from({ length: buckets }, () => 0n);
  await readCopiedRows(session, table, (bytes) => {
    const row = toRow(bytes);
    sums[bucketOf(row)]! += row.hash;
  });
  return sums;
}

async function rowGroups(
  session: Client,
  table: Table,
  toRow: (row: Buffer) => CopiedRow,
  wanted: ReadonlySet<number>,
): Promise<Map<string, RowGroup>> {
  const groups = new Map<string, RowGroup>();
  await readCopiedRows(session, table, (bytes) => {
    const row = toRow(bytes);
    if (!wanted.has(bucketOf(row))) return;
    const identity = String(row.identity);
    const group = groups.get(identity);
    groups.set(identity, {
      identity,
      label: group?.label ?? row.label(),
      hash: String(BigInt(group?.hash ?? 0) + row.hash),
      rows: (group?.rows ?? 0) + 1,
    });
  });
  return groups;
}
