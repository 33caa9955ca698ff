import { EngineError } from "../errors.js";

/** Where the bytes of a server's stream go: to the other server, or to `pg`'s own parser. */
export interface FrameReceivers {
  /** Bytes of CopyData messages, headers included: any cut, nothing missing, in order. */
  readonly copyData: (bytes: Buffer) => void;
  /** Bytes of every other message, headers included, in order. */
  readonly other: (bytes: Buffer) => void;
}

const copyDataType = 0x64;
const headerBytes = 5;

/**
 * Parts a server's byte stream into CopyData messages and all others by looking at message headers only: one byte of
 * type, then the length as 32 bits including itself (manual, "Message Formats"). Nothing but a cut header is ever kept,
 * so memory does not depend on how long a row is.
 */
export class CopyFrames {
  /** CopyData messages begun so far. A server sends one per row, and in binary format one more that ends the data. */
  count = 0;
  readonly #receivers: FrameReceivers;
  /** The bytes of a header that the last chunk cut, at most four. */
  #cutHeader: Buffer = Buffer.alloc(0);
  /** How many bytes of the current message are still to come. */
  #left = 0;
  #inCopyData = false;

  constructor(receivers: FrameReceivers) {
    this.#receivers = receivers;
  }

  /** How many bytes of a CopyData message are still to come whose beginning has been handed on. */
  get lackingBytes(): number {
    return this.#inCopyData ? this.#left : 0;
  }

  /** @throws EngineError when a header names an impossible length: the stream is not PostgreSQL's protocol */
  push(chunk: Buffer): void {
    const rest = this.#cutHeader.length > 0 ? this.#completeHeader(chunk) : chunk;
    if (rest.length > 0) this.#part(rest);
  }

  /** Takes from the chunk what the cut header lacks, and answers the rest of the chunk. */
  #completeHeader(chunk: Buffer): Buffer {
    const lacking = headerBytes - this.#cutHeader.length;
    const header = Buffer.concat([this.#cutHeader, chunk.subarray(0, lacking)]);
    if (header.length < headerBytes) {
      this.#cutHeader = header;
      return Buffer.alloc(0);
    }
    this.#cutHeader = Buffer.alloc(0);
    this.#begin(header, 0);
    this.#hand(header);
    return chunk.subarray(lacking);
  }

  #part(chunk: Buffer): void {
    let from = 0;
    let at = Math.min(this.#left, chunk.length);
    this.#left -= at;
    while (chunk.length - at >= headerBytes) {
      const isCopyData = chunk[at] === copyDataType;
      if (isCopyData !== this.#inCopyData && at > from) {
        this.#hand(chunk.subarray(from, at));
        from = at;
      }
      this.#begin(chunk, at);
      at += headerBytes;
      const present = Math.min(this.#left, chunk.length - at);
      at += present;
      this.#left -= present;
    }
    if (at > from) this.#hand(from === 0 && at === chunk.length ? chunk : chunk.subarray(from, at));
    if (at < chunk.length) this.#cutHeader = Buffer.from(chunk.subarray(at));
  }

  #begin(bytes: Buffer, at: number): void {
    const length = bytes.readInt32BE(at + 1);
    if (length < 4) throw new EngineError(`a message of ${length} bytes arrived during a copy`);
    this.#left = length - 4;
    this.#inCopyData = bytes[at] === copyDataType;
    if (this.#inCopyData) this.count++;
  }

  #hand(bytes: Buffer): void {
    if (this.#inCopyData) this.#receivers.copyData(bytes);
    else this.#receivers.other(bytes);
  }
}
