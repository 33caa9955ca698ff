import { EngineFault } from "../errors.js";
import { type Tuple, endOf, holderOf, nullField, startOf } from "./change.js";

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const backslash = 0x5c;
const letterN = 0x4e;

/** The first message is short, since a batch may hold a line or two for each of thousands of tables; each next one is longer. */
const firstMessageBytes = 512;
const messageGrowth = 4;
const longestMessageBytes = 64 << 10;
const headerBytes = 5;
/** A field goes in by pieces of this size, so that a long one takes no room for escapes that it may not need. */
const pieceBytes = 16 << 10;

/** By byte: what stands behind the backslash for it, or 0 where it stands for itself. */
const escapes = new Uint8Array(256);
escapes[backslash] = backslash;
escapes[tab] = 0x74;
escapes[newline] = 0x6e;
escapes[carriageReturn] = 0x72;

/**
 * Builds COPY's text format (manual, "COPY", "Text Format") from fields as they came, byte by byte, without strings:
 * backslash, tab, newline and carriage return are escaped, NULL is \N. It comes in CopyData messages, ready to be sent.
 */
export class CopyText {
  readonly #messages: Buffer[] = [];
  #message = Buffer.allocUnsafe(firstMessageBytes);
  #length = headerBytes;
  #fieldsInLine = 0;

  /** CopyData messages of all that was built; nothing may be added any more. */
  messages(): readonly Buffer[] {
    this.#endMessage();
    return this.#messages;
  }

  integer(value: number): void {
    this.#separate();
    const digits = String(value);
    this.#reserve(digits.length);
    for (let at = 0; at < digits.length; at++) this.#message[this.#length++] = digits.charCodeAt(at);
  }

  null(): void {
    this.#separate();
    this.#reserve(2);
    this.#message[this.#length++] = backslash;
    this.#message[this.#length++] = letterN;
  }

  /** @throws EngineFault when no state of the row says this field: writing NULL for it would lose a value */
  field(tuple: Tuple, field: number): void {
    const holder = holderOf(tuple, field);
    if (!holder) throw new EngineFault(`field ${field} of a row is not known where it has to be written`);
    this.#value(holder, field);
  }

  /** For a field that is not used where it is not known. */
  fieldOrNull(tuple: Tuple | undefined, field: number): void {
    const holder = tuple && holderOf(tuple, field);
    if (holder) this.#value(holder, field);
    else this.null();
  }

  endLine(): void {
    this.#reserve(1);
    this.#message[this.#length++] = newline;
    this.#fieldsInLine = 0;
  }

  #value(tuple: Tuple, field: number): void {
    const start = startOf(tuple, field);
    if (start === nullField) {
      this.null();
      return;
    }
    this.#separate();
    const { bytes } = tuple;
    const end = endOf(tuple, field);
    for (let from = start; from < end; from += pieceBytes) this.#escape(bytes, from, Math.min(from + pieceBytes, end));
  }

  #escape(bytes: Buffer, start: number, end: number): void {
    this.#reserve(2 * (end - start));
    const message = this.#message;
    let length = this.#length;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      const escape = escapes[byte]!;
      if (escape === 0) {
        message[length++] = byte;
      } else {
        message[length++] = backslash;
        message[length++] = escape;
      }
    }
    this.#length = length;
  }

  #separate(): void {
    if (this.#fieldsInLine++ === 0) return;
    this.#reserve(1);
    this.#message[this.#length++] = tab;
  }

  /** Room for so many bytes in the message, no more than fit into an empty one of the longest kind. */
  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#message.length) return;
    this.#endMessage();
    const grown = Math.min(messageGrowth * this.#message.length, longestMessageBytes);
    this.#message = Buffer.allocUnsafe(Math.max(grown, headerBytes + bytes));
    this.#length = headerBytes;
  }

  #endMessage(): void {
    if (this.#length === headerBytes) return;
    this.#message[0] = 0x64;
    this.#message.writeInt32BE(this.#length - 1, 1);
    this.#messages.push(this.#message.subarray(0, this.#length));
    this.#length = headerBytes;
  }
}
