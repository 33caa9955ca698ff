import { hash } from "node:crypto";
import type { Client } from "pg";
import { CopyFrames } from "../copy/copy-frames.js";
import { CopyStatement } from "../copy/copy-statement.js";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import { type Column, type Table, storedColumns } from "../postgres/tables.js";
import type { Checksum } from "./checksum.js";

/** Converts a row of COPY's text format so that equal rows of both servers have equal bytes. */
export type NormalizeRow = (row: Buffer) => Buffer;

const newline = 1;
const copyHeaderBytes = 5;

/**
 * Reads a table with COPY, which the server does not plan, so that no index or statistics expression is evaluated.
 * Memory is limited by the longest row.
 *
 * @param columns undefined for all stored columns
 * @param onRow receives each row in text format, without its newline
 * @throws the error of the server or of the connection
 */
export async function readCopiedRows(
  session: Client,
  table: Table,
  onRow: (row: Buffer) => void,
  columns: readonly Column[] = storedColumns(table),
): Promise<void> {
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  const sql = `COPY ${qualify(table.schema, table.name)}${names === "" ? "" : ` (${names})`} TO STDOUT`;
  const rows = new CopiedRows(onRow);
  const statement = CopyStatement.to(session, sql, (toParser) => {
    const frames = new CopyFrames({ copyData: (bytes) => rows.push(bytes), other: toParser });
    return (chunk) => frames.push(chunk);
  });
  const outcome = await statement.outcome;
  if (outcome.ended === "failed") throw outcome.error;
}

/** Splits a stream of CopyData messages into rows: a server sends one message per row. */
class CopiedRows {
  #left = 0;
  #pieces: Buffer[] = [];

  constructor(readonly onRow: (row: Buffer) => void) {}

  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        this.#left = bytes.readInt32BE(at + 1) - 4;
        at += copyHeaderBytes;
      }
      const piece = bytes.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      this.#pieces.push(piece);
      if (this.#left === 0) this.#end();
    }
  }

  #end(): void {
    const row = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.onRow(row.subarray(0, row.length - newline));
  }
}

/** 64 bits of a row or of its key. */
export const hashOfBytes = (bytes: Buffer): bigint => hash("sha256", bytes, "buffer").readBigInt64BE();

/** Computes a checksum in this process. It must not be compared with a result of {@link checksum}. */
export async function copiedChecksum(session: Client, table: Table, normalize: NormalizeRow): Promise<Checksum> {
  let [rows, sum] = [0, 0n];
  await readCopiedRows(session, table, (row) => {
    rows++;
    sum += hashOfBytes(normalize(row));
  });
  return { rows, hash: sum };
}

/** Counts rows. Only one column is sent. */
export async function copiedCount(session: Client, table: Table): Promise<Checksum> {
  let rows = 0;
  await readCopiedRows(session, table, () => rows++, storedColumns(table).slice(0, 1));
  return { rows, hash: 0n };
}

const floatTypes: ReadonlySet<string> = new Set([
  ...["float4", "float8", "point", "line", "lseg", "box", "path", "polygon", "circle"],
]);

/**
 * From 12 on a server prints a float with the fewest digits that identify it, before with a fixed number of digits.
 * Between such servers numbers are compared by value. Composite types and similar types are then compared with single
 * precision.
 */
export function normalizeRows(table: Table, versions: readonly [source: number, target: number]): NormalizeRow {
  const printAlike = versions.every((version) => version >= 120000) || versions.every((version) => version < 120000);
  const columns = storedColumns(table).map(numbersOf);
  if (printAlike || columns.every((column) => column === undefined)) return (row) => row;
  return (row) => {
    const values = row.toString("latin1").split("\t");
    return Buffer.from(values.map((value, index) => columns[index]?.(value) ?? value).join("\t"), "latin1");
  };
}

function numbersOf({
  baseTypeSchema,
  baseType,
  baseTypeKind,
  element,
}: Column): ((value: string) => string) | undefined {
  const { schema, name, kind } = element ?? { schema: baseTypeSchema, name: baseType, kind: baseTypeKind };
  if (schema === "pg_catalog" && floatTypes.has(name))
    return name === "float4" ? (value) => withNumbers(value, Math.fround) : (value) => withNumbers(value, (one) => one);
  const mayContainFloats = kind === "c" || kind === "r" || kind === "m";
  return mayContainFloats ? (value) => withNumbers(value, Math.fround) : undefined;
}

const withNumbers = (value: string, round: (number: number) => number): string =>
  value.replace(/-?\d+(?:\.\d+)?(?:e[-+]?\d+)?/g, (digits) => {
    const number = round(Number(digits));
    return Object.is(number, -0) ? "-0" : String(number);
  });
