import type { Duplex } from "node:stream";
import { EngineError } from "../../errors.js";

/** What reads a connection's bytes in place of `pg`'s parser; it hands on to that parser what is not for itself. */
export type ByteReader = (toParser: (bytes: Buffer) => void) => (chunk: Buffer) => void;

/**
 * Puts a reader in the place of `pg`'s parser, the stream's one listener for data (pg-protocol's `parse`).
 * Answers how to put the parser back.
 *
 * @throws EngineError when the stream has other listeners than that
 */
export function divert(stream: Duplex, reader: ByteReader): () => void {
  const [parser, ...others] = stream.listeners("data") as ((chunk: Buffer) => void)[];
  if (!parser || others.length > 0)
    throw new EngineError(`a pg connection has ${others.length + (parser ? 1 : 0)} readers where one was expected`);
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
