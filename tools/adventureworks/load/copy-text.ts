import { type Table, nameOf } from "../catalogue";
import { date, daysOfBusiness } from "../data/calendar";
import { Random, seedOf, uuidOf } from "../data/random";
import type { TableData, Value } from "../data/table-data";

const chunkSize = 65_536;
const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** All rows of a table in COPY's text format, in chunks of about 64 kB; columns are in the catalogue's order. */
export function* copyText(table: Table, data: TableData): Generator<Buffer> {
  const seed = seedOf(nameOf(table));
  let chunk = "";
  for (let index = 0; index < data.count; index++) {
    chunk += copyLine(table, data, seed, index);
    if (chunk.length < chunkSize) continue;
    yield Buffer.from(chunk);
    chunk = "";
  }
  if (chunk !== "") yield Buffer.from(chunk);
}

function copyLine(table: Table, data: TableData, seed: number, index: number): string {
  const random = new Random(seed, index);
  const row = data.row(index, random);
  const fields = table.columns.map(({ name }) => {
    const value = row[name];
    if (value !== undefined) return field(value);
    if (name === "rowguid") return uuidOf(seed, index);
    if (name === "modifieddate") return date(random.below(daysOfBusiness));
    throw new Error(`${nameOf(table)} has no value for ${name}`);
  });
  return `${fields.join("\t")}\n`;
}

function field(value: Value): string {
  if (value === null) return "\\N";
  if (typeof value === "string")
    return /[\\\t\n\r]/.test(value) ? value.replace(/[\\\t\n\r]/g, (c) => escapes[c]!) : value;
  if (typeof value === "boolean") return value ? "t" : "f";
  if (typeof value === "number") return String(value);
  return `\\\\x${value.toString("hex")}`;
}
