import { EngineError } from "../../errors.js";
import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";

/**
 * The first message is short, because a batch may have a line or two for each of thousands of tables. Each following message
 * is longer.
 */
const firstMessageBytes = 512;
const messageGrowth = 4;
const maxMessageBytes = 64 << 10;
const headerBytes = 5;
const copyData = 0x64;

/**
 * Builds the data of a `COPY ... FROM STDIN` from the fields' bytes, without strings. The result are CopyData messages that
 * can be sent as they are.
 */
export abstract class CopyRows {
  /** The current message. Its content ends at `length`. */
  protected message = Buffer.allocUnsafe(firstMessageBytes);
  protected length = headerBytes;
  readonly #messages: Buffer[] = [];

  abstract integer(value: number): void;
  abstract null(): void;
  abstract endLine(): void;
  /** The following fields, up to {@link endRecord}, form one composite value. */
  abstract beginRecord(): void;
  abstract endRecord(): void;
  /** The bytes of a field that is not NULL. */
  protected abstract value(bytes: Buffer, start: number, end: number): void;
  /** Adds the end mark after the last line. */
  protected abstract end(): void;

  /** Returns all CopyData messages. A message may consist of two buffers. No rows may be added afterwards. */
  messages(): readonly Buffer[] {
    this.end();
    this.#endMessage();
    return this.#messages;
  }

  /** @throws EngineError if the field is absent in all states of the row: NULL instead would lose a value */
  field(tuple: Tuple, field: number): void {
    const holder = tupleHolding(tuple, field);
    if (!holder) throw new EngineError(`the value of field ${field} of a row is unknown, but must be written`);
    this.#valueOrNull(holder, field);
  }

  /** Writes NULL for an absent field. The statement must not use the field then. */
  fieldOrNull(tuple: Tuple | undefined, field: number): void {
    const holder = tuple && tupleHolding(tuple, field);
    if (holder) this.#valueOrNull(holder, field);
    else this.null();
  }

  /** Ensures free space for this number of bytes in the message. */
  protected reserve(bytes: number): void {
    if (this.length + bytes <= this.message.length) return;
    this.#endMessage();
    const grown = Math.min(messageGrowth * this.message.length, maxMessageBytes);
    this.message = Buffer.allocUnsafe(Math.max(grown, headerBytes + bytes));
    this.length = headerBytes;
  }

  /** Adds bytes as a message that refers to the given buffer, so that long fields are not copied. */
  protected withoutCopy(bytes: Buffer, start: number, end: number): void {
    const { length } = this;
    this.#endMessage();
    // The ended message still refers to the first part of the buffer.
    if (length > headerBytes) this.message = this.message.subarray(length);
    const header = Buffer.allocUnsafe(headerBytes);
    header[0] = copyData;
    header.writeInt32BE(4 + end - start, 1);
    this.#messages.push(header, bytes.subarray(start, end));
  }

  #valueOrNull(holder: Tuple, field: number): void {
    const start = startOf(holder, field);
    if (start === nullField) this.null();
    else this.value(holder.bytes, start, endOf(holder, field));
  }

  #endMessage(): void {
    if (this.length === headerBytes) return;
    this.message[0] = copyData;
    this.message.writeInt32BE(this.length - 1, 1);
    this.#messages.push(this.message.subarray(0, this.length));
    this.length = headerBytes;
  }
}
