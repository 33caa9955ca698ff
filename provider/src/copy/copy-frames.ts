import { EngineError } from "../errors.js";

/** Receivers of a server's stream: the other server, or `pg`'s own parser. */
export interface FrameReceivers {
  /** Bytes of CopyData messages in order, headers included, in chunks of any size. */
  readonly copyData: (bytes: Buffer) => void;
  /** Bytes of all other messages in order, headers included. */
  readonly other: (bytes: Buffer) => void;
}

const copyDataType = 0x64;
const headerBytes = 5;

/**
 * Splits a server's byte stream into CopyData messages and others. It reads only the headers: one byte of type, then
 * the length as 32 bits including itself (manual, "Message Formats"). It stores no more than an incomplete header, so
 * that memory does not depend on the size of rows.
 */
export class CopyFrames {
  /** Number of CopyData messages so far. A server sends one per row, and in binary format another one at the end. */
  count = 0;
  readonly #receivers: FrameReceivers;
  /** An incomplete header at the end of the last chunk: at most four bytes. */
  #cutHeader: Buffer = Buffer.alloc(0);
  /** Remaining bytes of the current message. */
  #left = 0;
  #inCopyData = false;

  constructor(receivers: FrameReceivers) {
    this.#receivers = receivers;
  }

  /** Remaining bytes of a CopyData message that was passed on in part. */
  get lackingBytes(): number {
    return this.#inCopyData ? this.#left : 0;
  }

  /** @throws EngineError when a header has an impossible length: the stream is not PostgreSQL's protocol */
  push(chunk: Buffer): void {
    const rest = this.#cutHeader.length > 0 ? this.#completeHeader(chunk) : chunk;
    if (rest.length > 0) this.#part(rest);
  }

  /** Completes the stored header from the chunk, and returns the rest of the chunk. */
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
