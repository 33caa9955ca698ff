import { type Tuple, endOf, startOf } from "../model/change.js";
import type { ValueForm } from "../model/value-form.js";
import type { KeyType } from "./division.js";

const hashStart = 0x811c9dc5;
const hashPrime = 0x01000193;
const dash = 0x2d;
const noByte = -1;
/** Separates two columns of a key. */
const separator = 0x1f;

/**
 * A 32-bit hash (FNV-1a) of a key's text. It is equal for both forms of a value. A successor of another version divides an
 * unfinished batch by the same hash, so it must never change. One object hashes many keys, because each change has one.
 */
export class KeyHash {
  readonly #form: ValueForm;
  #hash = hashStart;

  constructor(form: ValueForm) {
    this.#form = form;
  }

  /** Begins with the next key. */
  begin(): void {
    this.#hash = hashStart;
  }

  get value(): number {
    // The lowest bits of FNV-1a depend only on the lowest bits of the text.
    const hash = this.#hash;
    return (hash ^ (hash >>> 15)) >>> 0;
  }

  addText(text: string): void {
    let hash = this.#hash;
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), hashPrime);
    this.#hash = Math.imul(hash ^ separator, hashPrime);
  }

  /** @param row has a value in the field */
  addField(type: KeyType, row: Tuple, field: number): void {
    const { bytes } = row;
    const [start, end] = [startOf(row, field), endOf(row, field)];
    if (this.#form === "text") this.#addBytes(bytes, start, end, type === "uuid" ? dash : noByte);
    else if (type === "integer") this.addText(integerText(bytes, start, end));
    else if (type === "uuid") this.addText(bytes.toString("hex", start, end));
    else this.#addBytes(bytes, start, end, noByte);
  }

  #addBytes(bytes: Buffer, start: number, end: number, omitted: number): void {
    let hash = this.#hash;
    for (let index = start; index < end; index++) {
      const byte = bytes[index]!;
      if (byte !== omitted) hash = Math.imul(hash ^ byte, hashPrime);
    }
    this.#hash = Math.imul(hash ^ separator, hashPrime);
  }
}

/** The decimal digits of a smallint, integer or bigint in binary form. */
function integerText(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  return length === 8 ? String(bytes.readBigInt64BE(start)) : String(bytes.readIntBE(start, length));
}
