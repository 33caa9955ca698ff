import { EngineFault } from "../errors.js";
import { type Tuple, holderOf, nullField } from "./change.js";

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const backslash = 0x5c;
const letterN = 0x4e;

/**
 * Builds COPY's text format (manual, "COPY", "Text Format") from fields as they came, byte by byte, without strings:
 * backslash, tab, newline and carriage return are escaped, NULL is \N.
 */
export class CopyText {
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #length = 0;
  #fieldsInLine = 0;

  get length(): number {
    return this.#length;
  }

  /** What was built so far; valid until the next line. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  integer(value: number): void {
    this.#separate();
    const digits = String(value);
    this.#reserve(digits.length);
    this.#length += this.#buffer.write(digits, this.#length, "latin1");
  }

  null(): void {
    this.#separate();
    this.#reserve(2);
    this.#buffer[this.#length++] = backslash;
    this.#buffer[this.#length++] = letterN;
  }

  /** @throws EngineFault when no state of the row says this field: writing NULL for it would lose a value */
  field(tuple: Tuple, field: number): void {
    const holder = holderOf(tuple, field);
    if (!holder) throw new EngineFault(`field ${field} of a row is not known where it has to be written`);
    const start = holder.bounds[2 * field]!;
    if (start === nullField) {
      this.null();
      return;
    }
    this.#separate();
    this.#escape(holder.bytes, start, holder.bounds[2 * field + 1]!);
  }

  endLine(): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = newline;
    this.#fieldsInLine = 0;
  }

  #escape(bytes: Buffer, start: number, end: number): void {
    this.#reserve(2 * (end - start));
    const buffer = this.#buffer;
    let length = this.#length;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === backslash || byte === tab || byte === newline || byte === carriageReturn) {
        buffer[length++] = backslash;
        buffer[length++] = byte === backslash ? backslash : escapedLetter(byte);
      } else {
        buffer[length++] = byte;
      }
    }
    this.#length = length;
  }

  #separate(): void {
    if (this.#fieldsInLine++ === 0) return;
    this.#reserve(1);
    this.#buffer[this.#length++] = tab;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** t, n, r. */
const escapedLetter = (byte: number): number => (byte === tab ? 0x74 : byte === newline ? 0x6e : 0x72);
