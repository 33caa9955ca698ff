import { EngineError } from "../../errors.js";

const copyData = 0x64;
const headerBytes = 5;

/**
 * Splits a server's byte stream into messages (manual, "Message Formats": a type byte, then a 32-bit length that includes
 * itself). Messages are ranges of the received chunks. Only a message that spans chunks is copied.
 */
export class MessageSplitter {
  readonly #onCopyData: (bytes: Buffer, start: number, end: number) => void;
  readonly #onOther: (message: Buffer) => void;
  /**
   * A buffer for the incomplete message at the end of the last chunk. It has the message's full size, so that a long message
   * is in memory once. If even the header is incomplete, it has the header's size.
   */
  #incomplete: Buffer = Buffer.alloc(0);
  /** Received bytes of the incomplete message. */
  #received = 0;

  /**
   * @param onCopyData receives the range of the payload of one CopyData message; these bytes are not overwritten later
   * @param onOther receives every other message with its header
   */
  constructor(onCopyData: (bytes: Buffer, start: number, end: number) => void, onOther: (message: Buffer) => void) {
    this.#onCopyData = onCopyData;
    this.#onOther = onOther;
  }

  /** @throws EngineError if a header has an invalid length: the bytes are not PostgreSQL's protocol */
  push(chunk: Buffer): void {
    let at = this.#received > 0 ? this.#complete(chunk) : 0;
    while (chunk.length - at >= headerBytes) {
      const end = at + messageBytes(chunk, at);
      if (end > chunk.length) break;
      this.#deliver(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
  }

  /** Copies the rest of the incomplete message from the chunk. Returns the index of the next message in the chunk. */
  #complete(chunk: Buffer): number {
    let at = 0;
    while (this.#received > 0) {
      const copied = Math.min(this.#incomplete.length - this.#received, chunk.length - at);
      chunk.copy(this.#incomplete, this.#received, at, at + copied);
      this.#received += copied;
      at += copied;
      if (this.#received < this.#incomplete.length) return at;
      const buffer = this.#incomplete;
      this.#incomplete = Buffer.alloc(0);
      this.#received = 0;
      const bytes = messageBytes(buffer, 0);
      if (bytes > buffer.length) this.#keep(buffer);
      else this.#deliver(buffer, 0, bytes);
    }
    return at;
  }

  #keep(piece: Buffer): void {
    this.#incomplete = Buffer.allocUnsafe(piece.length < headerBytes ? headerBytes : messageBytes(piece, 0));
    this.#received = piece.copy(this.#incomplete);
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === copyData) this.#onCopyData(bytes, start + headerBytes, end);
    else this.#onOther(bytes.subarray(start, end));
  }
}

function messageBytes(bytes: Buffer, at: number): number {
  const length = bytes.readInt32BE(at + 1);
  if (length < 4) throw new EngineError(`invalid message length ${length} in the stream of changes`);
  return 1 + length;
}
