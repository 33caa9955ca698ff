import type { Duplex } from "node:stream";
import type { Client, Connection, Submittable } from "pg";
import { EngineError } from "../errors.js";
import { requestCancel } from "../postgres/connection/cancel-request.js";
import { type ByteReader, divert } from "../postgres/connection/divert.js";

/** A completed COPY: the number of rows in its command tag, and whether it used the binary format. */
export interface CopyDone {
  readonly rows: number;
  readonly binary: boolean;
}

/** The result: each COPY in order, or the error, and whether the session is lost. */
export type CopyOutcome =
  | { readonly ended: "complete"; readonly copies: readonly CopyDone[] }
  | {
      readonly ended: "failed";
      readonly error: Error;
      readonly connectionLost: boolean;
      /** Number of COPYs that succeeded before the failed one. */
      readonly copiesBefore: number;
    };

/** How long a server may take to end a canceled statement before its connection is closed. */
const endTimeoutMs = 30_000;

const zeros = Buffer.alloc(1 << 20);
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

function copyFail(reason: string): Buffer {
  const text = Buffer.from(reason.replaceAll("\0", ""), "utf8");
  const message = Buffer.alloc(5 + text.length + 1);
  message.writeUInt8(0x66, 0);
  message.writeInt32BE(4 + text.length + 1, 1);
  text.copy(message, 5);
  return message;
}

/**
 * Runs one COPY statement, or several of the same direction in one query, in an ordinary `pg` client. Other statements
 * of the query must return no rows. It implements `pg`'s interface for queries, as pg-cursor does. The client can be
 * used again when the query has ended.
 */
export class CopyStatement implements Submittable {
  /** Resolves when the query has ended or the session is lost. Never rejects. */
  readonly outcome: Promise<CopyOutcome>;

  readonly #client: Client;
  readonly #sql: string;
  readonly #reader: ByteReader | undefined;
  #stream: Duplex | undefined;
  #error: Error | undefined;
  #onCopied: () => void = () => undefined;
  #hasBegun = false;
  /** Format of the running COPY. */
  #binary = false;
  readonly #copies: CopyDone[] = [];
  #end: (outcome: CopyOutcome) => void = () => undefined;

  private constructor(client: Client, sql: string, reader?: ByteReader) {
    this.#client = client;
    this.#sql = sql;
    this.#reader = reader;
    this.outcome = new Promise((resolve) => (this.#end = resolve));
  }

  /** Starts COPY ... FROM STDIN. Bytes can be sent with {@link write} at once if the statement {@link isSubmitted}. */
  static from(client: Client, sql: string): CopyStatement {
    return client.query(new CopyStatement(client, sql));
  }

  /** Starts COPY ... TO STDOUT. The reader gets the bytes in the chunks in which they arrive. */
  static to(client: Client, sql: string, reader: ByteReader): CopyStatement {
    return client.query(new CopyStatement(client, sql, reader));
  }

  /** Sends CopyData messages. Returns the number of bytes waiting to be sent. */
  write(frames: Buffer): number {
    const stream = this.#openStream();
    if (stream.writable) stream.write(frames);
    return stream.writableLength;
  }

  /**
   * Completes a CopyData message that was sent in part. Otherwise the server would read the next message as its
   * content.
   */
  pad(lackingBytes: number): void {
    const stream = this.#openStream();
    for (let left = lackingBytes; left > 0 && stream.writable; left -= zeros.length)
      stream.write(left < zeros.length ? zeros.subarray(0, left) : zeros);
  }

  /** Calls the listener each time that all bytes were sent, until the statement ends. */
  onDrain(listener: () => void): void {
    const stream = this.#openStream();
    stream.on("drain", listener);
    void this.outcome.then(() => stream.off("drain", listener));
  }

  pause(): void {
    this.#openStream().pause();
  }

  /** Whether the client has sent the statement. A client that lost its connection never does. */
  get isSubmitted(): boolean {
    return this.#stream !== undefined;
  }

  /** Whether the server has started the COPY. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get isPaused(): boolean {
    return this.#stream?.isPaused() ?? false;
  }

  /** Whether bytes wait to be sent. */
  get isSending(): boolean {
    return (this.#stream?.writableLength ?? 0) > 0;
  }

  resume(): void {
    this.#openStream().resume();
  }

  /** Calls the listener after the last row of each COPY TO, before the first row of the next one. */
  onCopied(listener: () => void): void {
    this.#onCopied = listener;
  }

  /** Ends the rows of a COPY FROM. The bytes of the next one may follow at once. */
  finish(): void {
    this.#openStream().write(copyDone);
  }

  /** Fails a COPY FROM: the server rolls it back and reports the reason. Resolves with {@link outcome}. */
  fail(reason: string): Promise<CopyOutcome> {
    if (this.#stream?.writable) this.#stream.write(copyFail(reason));
    // A COPY that has not begun may wait for a lock. If it begins before the server is asked to cancel it, it reads the failure.
    return this.#hasBegun ? this.#endSoon() : this.cancel();
  }

  /** Cancels the running statement. Bytes that still arrive are read. Resolves with {@link outcome}. */
  async cancel(): Promise<CopyOutcome> {
    this.#stream?.resume();
    // Also after the statement has ended: a late request would cancel the session's next statement.
    const requested = requestCancel(this.#client);
    const lost = this.outcome.then((outcome) =>
      "connectionLost" in outcome && outcome.connectionLost ? undefined : requested,
    );
    await Promise.race([requested, lost]);
    return this.#endSoon();
  }

  /** Called by `pg`: sends the statement. */
  submit(connection: Connection): void {
    const { stream } = connection;
    this.#stream = stream;
    const release = this.#reader ? divert(stream, this.#reader) : (): void => undefined;
    const onBegun = ({ binary }: { readonly binary?: boolean }): void => {
      this.#binary = binary ?? false;
      this.#hasBegun = true;
    };
    const onCopied = (): void => this.#onCopied();
    const settle = (connectionLost: boolean): void => {
      connection.off("copyInResponse", onBegun).off("copyOutResponse", onBegun).off("copyDone", onCopied);
      connection.off("readyForQuery", onReady).off("end", onGone);
      release();
      this.#settle(connectionLost);
    };
    const onReady = (): void => settle(false);
    // `pg` reports the error that broke the connection one tick after its end.
    const onGone = (): void => void setImmediate(() => settle(true));
    connection.on("copyInResponse", onBegun).on("copyOutResponse", onBegun).on("copyDone", onCopied);
    // Before `pg`'s own listener, which may at once send the next query in the same stream.
    connection.prependOnceListener("readyForQuery", onReady);
    connection.once("end", onGone);
    connection.query(this.#sql);
  }

  /** Called by `pg` for an ErrorResponse, or for an error of the connection. */
  handleError(error: Error): void {
    this.#error ??= error;
    // A client that lost its connection never calls `submit`.
    if (!this.#stream) this.#settle(true);
  }

  /** Called by `pg` for a command tag, such as `COPY 42`. */
  handleCommandComplete(message: { readonly text: string }): void {
    const rows = /^COPY (\d+)$/.exec(message.text)?.[1];
    if (rows !== undefined) this.#copies.push({ rows: Number(rows), binary: this.#binary });
  }

  /** Called by `pg`. The connection's event is used instead, because an error does not hide it. */
  handleReadyForQuery(): void {
    return;
  }

  /** Called by `pg`. The connection's event is used instead, because COPY TO's response has no handler. */
  handleCopyInResponse(): void {
    return;
  }

  #settle(connectionLost: boolean): void {
    this.#end(this.#howItEnded(connectionLost));
  }

  #howItEnded(connectionLost: boolean): CopyOutcome {
    const error = this.#error ?? (connectionLost ? new Error("the connection was closed") : undefined);
    if (!error) return { ended: "complete", copies: this.#copies };
    return { ended: "failed", error, connectionLost, copiesBefore: this.#copies.length };
  }

  /** Waits for the end for a limited time. If it does not come, the connection is closed. */
  #endSoon(): Promise<CopyOutcome> {
    const cut = setTimeout(
      () => this.#stream?.destroy(new Error("the server did not end the statement in time")),
      endTimeoutMs,
    );
    return this.outcome.finally(() => clearTimeout(cut));
  }

  #openStream(): Duplex {
    if (!this.#stream) throw new EngineError("a COPY was used before the client sent it");
    return this.#stream;
  }
}
