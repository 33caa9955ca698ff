import { EngineFault } from "../errors.js";

const copyData = 0x64;
const headerBytes = 5;

/**
 * Parts a server's byte stream into messages (manual, "Message Formats": one byte of type, then the length as 32 bits
 * including itself) where they lie: only a message that a chunk cuts is put together in memory of its own.
 */
export class Frames {
  readonly #onCopyData: (bytes: Buffer, start: number, end: number) => void;
  readonly #onOther: (message: Buffer) => void;
  /** The beginning of a message that the last chunk cut. */
  #pieces: Buffer[] = [];
  #have = 0;
  /** How many bytes the cut message has; of its header as long as that is cut itself. */
  #need = 0;

  /**
   * @param onCopyData told the place of what one CopyData message holds, in bytes that are never written to again
   * @param onOther handed every other message, header included
   */
  constructor(onCopyData: (bytes: Buffer, start: number, end: number) => void, onOther: (message: Buffer) => void) {
    this.#onCopyData = onCopyData;
    this.#onOther = onOther;
  }

  /** @throws EngineFault when a header names an impossible length: the stream is not PostgreSQL's protocol */
  push(chunk: Buffer): void {
    let at = this.#have > 0 ? this.#complete(chunk) : 0;
    while (chunk.length - at >= headerBytes) {
      const end = at + messageBytes(chunk, at);
      if (end > chunk.length) break;
      this.#hand(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
  }

  /** Takes from the chunk what the cut message lacks; answers where the chunk goes on. */
  #complete(chunk: Buffer): number {
    let at = 0;
    while (this.#have > 0) {
      const lacking = this.#need - this.#have;
      this.#pieces.push(chunk.subarray(at, at + lacking));
      this.#have += Math.min(lacking, chunk.length - at);
      at = Math.min(at + lacking, chunk.length);
      if (this.#have < this.#need) return at;
      const joined = Buffer.concat(this.#pieces, this.#have);
      this.#pieces = [];
      this.#have = 0;
      const bytes = messageBytes(joined, 0);
      if (bytes > joined.length) this.#keep(joined);
      else this.#hand(joined, 0, bytes);
    }
    return at;
  }

  #keep(piece: Buffer): void {
    this.#pieces = [piece];
    this.#have = piece.length;
    this.#need = piece.length < headerBytes ? headerBytes : messageBytes(piece, 0);
  }

  #hand(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === copyData) this.#onCopyData(bytes, start + headerBytes, end);
    else this.#onOther(bytes.subarray(start, end));
  }
}

function messageBytes(bytes: Buffer, at: number): number {
  const length = bytes.readInt32BE(at + 1);
  if (length < 4) throw new EngineFault(`a message of ${length} bytes arrived in a stream of changes`);
  return 1 + length;
}
