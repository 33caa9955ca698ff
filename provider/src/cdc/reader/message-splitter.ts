import { EngineError } from "../../errors.js";

const copyData = 0x64;
const headerBytes = 5;

/**
 * Parts a server's byte stream into messages (manual, "Message Formats": one byte of type, then the length as 32 bits
 * including itself) where they lie: only a message that a chunk cuts is put together in memory of its own.
 */
export class MessageSplitter {
  readonly #onCopyData: (bytes: Buffer, start: number, end: number) => void;
  readonly #onOther: (message: Buffer) => void;
  /**
   * Room for a message that the last chunk cut, whole, so that a long one is there once; for its header as long as that
   * is cut itself.
   */
  #cut: Buffer = Buffer.alloc(0);
  /** How much of it has come. */
  #have = 0;

  /**
   * @param onCopyData told the place of what one CopyData message holds, in bytes that are never written to again
   * @param onOther handed every other message, header included
   */
  constructor(onCopyData: (bytes: Buffer, start: number, end: number) => void, onOther: (message: Buffer) => void) {
    this.#onCopyData = onCopyData;
    this.#onOther = onOther;
  }

  /** @throws EngineError when a header names an impossible length: the stream is not PostgreSQL's protocol */
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
      const come = Math.min(this.#cut.length - this.#have, chunk.length - at);
      chunk.copy(this.#cut, this.#have, at, at + come);
      this.#have += come;
      at += come;
      if (this.#have < this.#cut.length) return at;
      const whole = this.#cut;
      this.#cut = Buffer.alloc(0);
      this.#have = 0;
      const bytes = messageBytes(whole, 0);
      if (bytes > whole.length) this.#keep(whole);
      else this.#hand(whole, 0, bytes);
    }
    return at;
  }

  #keep(piece: Buffer): void {
    this.#cut = Buffer.allocUnsafe(piece.length < headerBytes ? headerBytes : messageBytes(piece, 0));
    this.#have = piece.copy(this.#cut);
  }

  #hand(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === copyData) this.#onCopyData(bytes, start + headerBytes, end);
    else this.#onOther(bytes.subarray(start, end));
  }
}

function messageBytes(bytes: Buffer, at: number): number {
  const length = bytes.readInt32BE(at + 1);
  if (length < 4) throw new EngineError(`a message of ${length} bytes arrived in a stream of changes`);
  return 1 + length;
}
