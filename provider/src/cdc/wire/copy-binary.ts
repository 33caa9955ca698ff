import { EngineError } from "../../errors.js";
import { CopyRows } from "./copy-rows.js";

/** The signature, no flags, no extension. */
const fileHeader = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const endOfFile = -1;
const nullLength = -1;
/** Of a longer field one message would hold it all: it goes in by pieces of this size, which are not copied. */
const pieceBytes = 32 << 10;
/** So many bytes are copied sooner than a call to do so is made. */
const shortBytes = 64;

/** COPY's binary format (manual, "COPY", "Binary Format"), of fields in binary form: they go in as they came. */
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

  /** Its binary form names the types of its fields: what is staged in records is taken in text form. */
  beginRecord(): void {
    throw new EngineError("a record is not written in binary form");
  }

  endRecord(): void {
    throw new EngineError("a record is not written in binary form");
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

  /** Most of the time goes by here: one look for room, and no call for each of a few bytes. */
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
      this.asTheyLie(bytes, from, Math.min(from + pieceBytes, start + size));
    }
  }
}
