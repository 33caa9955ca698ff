import { EngineError } from "../../errors.js";
import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";
import type { ValueForm } from "../model/value-form.js";

/** A statement's parameter: a field of the new row, or of the old row that the statement searches for. */
export interface Parameter {
  readonly of: "row" | "old";
  readonly field: number;
}

const bind = 0x42;
const nullLength = -1;
/** Longer fields are sent from the stream's buffer, without a copy. */
const longFieldBytes = 32 << 10;
/** The number of forms, the form of all parameters, and the number of parameters. */
const headBytes = 6;
/** The number of result forms: 0, because results are not read. */
const tailBytes = 2;

/**
 * The values of a Bind message (manual, "Message Formats"), in the form of the stream. They follow the names of its portal and
 * its statement. The pieces are sent one after another.
 */
export class BoundValues {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;

  /** @throws EngineError if a field is absent in all states of a row: NULL instead would lose a value */
  constructor(
    form: ValueForm,
    parameters: readonly Parameter[],
    states: Readonly<Record<Parameter["of"], Tuple | undefined>>,
  ) {
    const holders = parameters.map(({ of, field }) => holding(states[of], field));
    const writer = new Writer(headBytes + tailBytes + shortBytes(holders, parameters));
    writer.int16(1);
    writer.int16(form === "binary" ? 1 : 0);
    writer.int16(parameters.length);
    for (const [place, { field }] of parameters.entries()) {
      const holder = holders[place]!;
      const start = startOf(holder, field);
      if (start === nullField) writer.int32(nullLength);
      else writer.value(holder.bytes, start, endOf(holder, field));
    }
    writer.int16(0);
    this.pieces = writer.end();
    this.bytes = this.pieces.reduce((bytes, piece) => bytes + piece.length, 0);
  }

  /** The message, for the unnamed portal. */
  messageFor(statement: string): readonly Buffer[] {
    const names = Buffer.from(`.....\0${statement}\0`, "latin1");
    names[0] = bind;
    names.writeInt32BE(names.length - 1 + this.bytes, 1);
    return [names, ...this.pieces];
  }
}

function holding(tuple: Tuple | undefined, field: number): Tuple {
  const holder = tuple && tupleHolding(tuple, field);
  if (!holder) throw new EngineError(`the value of field ${field} of a row is unknown, but must be written`);
  return holder;
}

/** The bytes of all short values, and of the length words of all values. */
function shortBytes(holders: readonly Tuple[], parameters: readonly Parameter[]): number {
  let bytes = 0;
  for (const [place, { field }] of parameters.entries()) {
    const holder = holders[place]!;
    const size = endOf(holder, field) - startOf(holder, field);
    bytes += 4 + (size > longFieldBytes ? 0 : Math.max(0, size));
  }
  return bytes;
}

class Writer {
  readonly #buffer: Buffer;
  readonly #pieces: Buffer[] = [];
  #length = 0;
  /** Start of the current piece. */
  #from = 0;

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  int16(value: number): void {
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
  }

  int32(value: number): void {
    this.#length = this.#buffer.writeInt32BE(value, this.#length);
  }

  value(bytes: Buffer, start: number, end: number): void {
    this.int32(end - start);
    if (end - start > longFieldBytes) {
      this.#endPiece();
      this.#pieces.push(bytes.subarray(start, end));
    } else this.#length += bytes.copy(this.#buffer, this.#length, start, end);
  }

  end(): readonly Buffer[] {
    this.#endPiece();
    return this.#pieces;
  }

  #endPiece(): void {
    this.#pieces.push(this.#buffer.subarray(this.#from, this.#length));
    this.#from = this.#length;
  }
}
