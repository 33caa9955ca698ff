import type { Client, Connection, Submittable } from "pg";
import { EngineFault, messageOf } from "../errors.js";
import type { CopyText } from "./copy-text.js";

/** The parts of pg's connection that carry COPY data. */
interface CopyConnection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

const chunkBytes = 1 << 20;

/**
 * `COPY ... FROM STDIN` of a text that is complete in memory. A query object of pg's (its `submit` protocol) rather than
 * a stream: a batch is bounded and already built, so there is nothing to wait for between its chunks.
 *
 * @returns the number of rows, as the server counted them
 */
export function copyIn(client: Client, statement: string, text: CopyText): Promise<number> {
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(statement, text.bytes(), resolve, reject));
  });
}

class CopyIn implements Submittable {
  readonly #statement: string;
  readonly #data: Buffer;
  readonly #resolve: (rows: number) => void;
  readonly #reject: (error: Error) => void;
  #rows = 0;
  #error: Error | undefined;

  constructor(statement: string, data: Buffer, resolve: (rows: number) => void, reject: (error: Error) => void) {
    this.#statement = statement;
    this.#data = data;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: Connection): void {
    connection.query(this.#statement);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    for (let at = 0; at < this.#data.length; at += chunkBytes)
      connection.sendCopyFromChunk(this.#data.subarray(at, at + chunkBytes));
    connection.endCopyFrom();
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#rows = Number(text.slice("COPY ".length));
  }

  handleError(error: unknown): void {
    this.#error = error instanceof Error ? error : new EngineFault(messageOf(error));
    // After the loss of the connection no ReadyForQuery comes.
    this.#reject(this.#error);
  }

  handleReadyForQuery(): void {
    if (!this.#error) this.#resolve(this.#rows);
  }
}
