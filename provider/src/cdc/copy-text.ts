import { CopyRows } from "./copy-rows.js";

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const backslash = 0x5c;
const letterN = 0x4e;

/** A field goes in by pieces of this size, so that a long one takes no room for escapes that it may not need. */
const pieceBytes = 16 << 10;

/** By byte: what stands behind the backslash for it, or 0 where it stands for itself. */
const escapes = new Uint8Array(256);
escapes[backslash] = backslash;
escapes[tab] = 0x74;
escapes[newline] = 0x6e;
escapes[carriageReturn] = 0x72;

/**
 * COPY's text format (manual, "COPY", "Text Format"), of fields in text form: backslash, tab, newline and carriage return
 * are escaped, NULL is \N.
 */
export class CopyText extends CopyRows {
  #fieldsInLine = 0;

  integer(value: number): void {
    this.#separate();
    const digits = String(value);
    this.reserve(digits.length);
    for (let at = 0; at < digits.length; at++) this.message[this.length++] = digits.charCodeAt(at);
  }

  null(): void {
    this.#separate();
    this.reserve(2);
    this.message[this.length++] = backslash;
    this.message[this.length++] = letterN;
  }

  endLine(): void {
    this.reserve(1);
    this.message[this.length++] = newline;
    this.#fieldsInLine = 0;
  }

  protected value(bytes: Buffer, start: number, end: number): void {
    this.#separate();
    for (let from = start; from < end; from += pieceBytes) this.#escape(bytes, from, Math.min(from + pieceBytes, end));
  }

  protected end(): void {
    return;
  }

  #escape(bytes: Buffer, start: number, end: number): void {
    this.reserve(2 * (end - start));
    const { message } = this;
    let { length } = this;
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
    this.length = length;
  }

  #separate(): void {
    if (this.#fieldsInLine++ === 0) return;
    this.reserve(1);
    this.message[this.length++] = tab;
  }
}
