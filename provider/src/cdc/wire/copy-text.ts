import { CopyRows } from "./copy-rows.js";

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const backslash = 0x5c;
const letterN = 0x4e;
const quote = 0x22;
const comma = 0x2c;
const leftParenthesis = 0x28;
const rightParenthesis = 0x29;

/** Fields are added in pieces of this size. Space for escapes is then reserved for a piece, not for a whole long field. */
const pieceBytes = 16 << 10;
/** In fields of at least this size, pieces without escapes are not copied. */
const longFieldBytes = 4 * pieceBytes;

/** For each byte: the letter after the backslash, or 0 if the byte is not escaped. */
const escapes = new Uint8Array(256);
escapes[backslash] = backslash;
escapes[tab] = 0x74;
escapes[newline] = 0x6e;
escapes[carriageReturn] = 0x72;

/** The maximum number of bytes for one byte: a record doubles a backslash, and COPY doubles each of the two. */
const maxEscapedBytes = 4;

function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (escapes[bytes[at]!] !== 0) return false;
  return true;
}

/**
 * COPY's text format (manual, "COPY", "Text Format") for fields in text form. Backslash, tab, newline and carriage return are
 * escaped, and NULL is \N.
 */
export class CopyText extends CopyRows {
  #fieldsInLine = 0;
  /** Undefined outside of a record. */
  #fieldsInRecord: number | undefined;

  integer(value: number): void {
    this.#separate();
    const digits = String(value);
    this.reserve(digits.length);
    for (let at = 0; at < digits.length; at++) this.message[this.length++] = digits.charCodeAt(at);
  }

  null(): void {
    this.#separate();
    if (this.#fieldsInRecord !== undefined) return;
    this.reserve(2);
    this.message[this.length++] = backslash;
    this.message[this.length++] = letterN;
  }

  endLine(): void {
    this.reserve(1);
    this.message[this.length++] = newline;
    this.#fieldsInLine = 0;
  }

  beginRecord(): void {
    this.#separate();
    this.#byte(leftParenthesis);
    this.#fieldsInRecord = 0;
  }

  endRecord(): void {
    this.#fieldsInRecord = undefined;
    this.#byte(rightParenthesis);
  }

  protected value(bytes: Buffer, start: number, end: number): void {
    this.#separate();
    if (this.#fieldsInRecord !== undefined) this.#quoted(bytes, start, end);
    else this.#escaped(bytes, start, end);
  }

  #escaped(bytes: Buffer, start: number, end: number): void {
    const isLong = end - start >= longFieldBytes;
    for (let from = start; from < end; from += pieceBytes) {
      const to = Math.min(from + pieceBytes, end);
      if (isLong && isPlain(bytes, from, to)) this.withoutCopy(bytes, from, to);
      else this.#escape(bytes, from, to);
    }
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

  /** Writes a field of a composite value (manual, "Composite Types", "Composite Type Input and Output Syntax"). */
  #quoted(bytes: Buffer, start: number, end: number): void {
    this.#byte(quote);
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      this.reserve(maxEscapedBytes);
      const doubled = byte === quote || byte === backslash ? 2 : 1;
      for (let time = 0; time < doubled; time++) this.#escapedByte(byte);
    }
    this.#byte(quote);
  }

  #escapedByte(byte: number): void {
    const escape = escapes[byte]!;
    if (escape !== 0) this.message[this.length++] = backslash;
    this.message[this.length++] = escape === 0 ? byte : escape;
  }

  #byte(byte: number): void {
    this.reserve(1);
    this.message[this.length++] = byte;
  }

  #separate(): void {
    const isRecord = this.#fieldsInRecord !== undefined;
    const before = isRecord ? this.#fieldsInRecord!++ : this.#fieldsInLine++;
    if (before > 0) this.#byte(isRecord ? comma : tab);
  }
}
