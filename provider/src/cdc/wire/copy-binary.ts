import { EngineError } from "../../errors.js";
import { CopyRows } from "./copy-rows.js";

/** The signature, no flags, no extension. */
const fileHeader = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const endOfFile = -1;
const nullLength = -1;
/** Longer fields are sent in pieces of this size, without a copy. Otherwise one message would contain the whole field. */
const pieceBytes = 32 << 10;
/** Up to this size, a loop is faster than a call of Buffer.copy. */
const shortBytes = 64;

/** COPY's binary format (manual, "COPY", "Binary Format") for fields in binary form, which need no conversion. */
export class CopyBinary extends CopyRows {
  readonly #fieldsPerLine: number;
  #fieldsInLine = 0;

  constructor(fieldsPerLine: number) {
    super();
    this.#fieldsPerLine = fieldsPerLine;
    this.length += fileHeader.copy(this.message, this.length);
  }

  integer(value: number): void {
    this.#beginField();
    this.#int32(4);
    this.#int32(value);
  }

  null(): void {
    this.#beginField();
    this.#int32(nullLength);
  }

  endLine(): void {
    if (this.#fieldsPerLine === 0) this.#int16(0);
    this.#fieldsInLine = 0;
  }

  /** A record's binary form contains the types of its fields. Tables that are staged as records use text form instead. */
  beginRecord(): void {
    throw new EngineError("records are not supported in binary form");
  }

  endRecord(): void {
    throw new EngineError("records are not supported in binary form");
  }

  protected value(bytes: Buffer, start: number, end: number): void {
    this.#beginField();
    const size = end - start;
    if (size > pieceBytes) this.#long(bytes, start, size);
    else this.#short(bytes, start, size);
  }

  protected end(): void {
    this.#int16(endOfFile);
  }

  #beginField(): void {
    if (this.#fieldsInLine++ === 0) this.#int16(this.#fieldsPerLine);
  }

  #int16(value: number): void {
    this.reserve(2);
    this.message[this.length++] = value >> 8;
    this.message[this.length++] = value;
  }

  #int32(value: number): void {
    this.reserve(4);
    this.message.writeInt32BE(value, this.length);
    this.length += 4;
  }

  /** The hottest function: it checks the free space once, and avoids function calls for short values. */
  #short(bytes: Buffer, start: number, size: number): void {
    this.reserve(4 + size);
    const { message } = this;
    let to = this.length;
    message[to++] = 0;
    message[to++] = 0;
    message[to++] = size >> 8;
    message[to++] = size;
    const end = start + size;
    if (size > shortBytes) to += bytes.copy(message, to, start, end);
    else for (let from = start; from < end; from++) message[to++] = bytes[from]!;
    this.length = to;
  }

  #long(bytes: Buffer, start: number, size: number): void {
    this.#int32(size);
    for (let from = start; from < start + size; from += pieceBytes) {
      this.withoutCopy(bytes, from, Math.min(from + pieceBytes, start + size));
    }
  }
}
