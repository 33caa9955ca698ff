import { EngineError } from "../../errors.js";
import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";

/**
 * The first message is short, since a batch may hold a line or two for each of thousands of tables; each next one is
 * longer.
 */
const firstMessageBytes = 512;
const messageGrowth = 4;
const longestMessageBytes = 64 << 10;
const headerBytes = 5;
const copyData = 0x64;

/**
 * What a `COPY ... FROM STDIN` is given, built from fields as they came, byte by byte, without strings. It comes in CopyData
 * messages, ready to be sent.
 */
export abstract class CopyRows {
  /** The message in hand; what is in it ends at `length`. */
  protected message = Buffer.allocUnsafe(firstMessageBytes);
  protected length = headerBytes;
  readonly #messages: Buffer[] = [];

  abstract integer(value: number): void;
  abstract null(): void;
  abstract endLine(): void;
  /** Fields up to {@link endRecord} are those of one composite value. */
  abstract beginRecord(): void;
  abstract endRecord(): void;
  /** The bytes of a field that is not NULL. */
  protected abstract value(bytes: Buffer, start: number, end: number): void;
  /** Adds what stands behind the last line. */
  protected abstract end(): void;

  /** All that was built, as CopyData messages, of which one may come in two pieces; nothing may be added any more. */
  messages(): readonly Buffer[] {
    this.end();
    this.#endMessage();
    return this.#messages;
  }

  /** @throws EngineError when no state of the row says this field: writing NULL for it would lose a value */
  field(tuple: Tuple, field: number): void {
    const holder = tupleHolding(tuple, field);
    if (!holder) throw new EngineError(`field ${field} of a row is not known where it has to be written`);
    this.#held(holder, field);
  }

  /** For a field that is not used where it is not known. */
  fieldOrNull(tuple: Tuple | undefined, field: number): void {
    const holder = tuple && tupleHolding(tuple, field);
    if (holder) this.#held(holder, field);
    else this.null();
  }

  /** Room for so many bytes in the message, no more than fit into an empty one of the longest kind. */
  protected reserve(bytes: number): void {
    if (this.length + bytes <= this.message.length) return;
    this.#endMessage();
    const grown = Math.min(messageGrowth * this.message.length, longestMessageBytes);
    this.message = Buffer.allocUnsafe(Math.max(grown, headerBytes + bytes));
    this.length = headerBytes;
  }

  /** Sends so many bytes from where they lie: of a long field there need be no copy. */
  protected asTheyLie(bytes: Buffer, start: number, end: number): void {
    const { length } = this;
    this.#endMessage();
    // What stands before them is sent from where it lies, too.
    if (length > headerBytes) this.message = this.message.subarray(length);
    const header = Buffer.allocUnsafe(headerBytes);
    header[0] = copyData;
    header.writeInt32BE(4 + end - start, 1);
    this.#messages.push(header, bytes.subarray(start, end));
  }

  #held(holder: Tuple, field: number): void {
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
