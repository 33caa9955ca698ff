import type { Duplex } from "node:stream";
import { EngineError } from "../../errors.js";

/** Reads a connection's bytes instead of `pg`'s parser, and passes bytes that belong to `pg` on to that parser. */
export type ByteReader = (toParser: (bytes: Buffer) => void) => (chunk: Buffer) => void;

/**
 * Replaces `pg`'s parser, the stream's only data listener (pg-protocol's `parse`), by a reader.
 *
 * @returns a function that restores the parser
 * @throws EngineError if the stream has other listeners
 */
export function divert(stream: Duplex, reader: ByteReader): () => void {
  const [parser, ...others] = stream.listeners("data") as ((chunk: Buffer) => void)[];
  if (!parser || others.length > 0)
    throw new EngineError(`expected one reader on a pg connection, found ${others.length + (parser ? 1 : 0)}`);
  const read = reader(parser);
  const onData = (chunk: Buffer): void => {
    try {
      read(chunk);
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  stream.off("data", parser).on("data", onData);
  return () => {
    stream.off("data", onData).on("data", parser);
    stream.resume();
  };
}
