import type { Duplex } from "node:stream";
import type { Client, Connection, Submittable } from "pg";
import { EngineError } from "../errors.js";
import { requestCancel } from "../postgres/connection/cancel-request.js";
import { type ByteReader, divert } from "../postgres/connection/divert.js";

/** One COPY that has run: its command tag's number of rows, and whether they went in binary format. */
export interface CopyDone {
  readonly rows: number;
  readonly binary: boolean;
}

/** How it ended: what each COPY says in its turn, or what went wrong, and whether the session is gone. */
export type CopyOutcome =
  | { readonly ended: "complete"; readonly copies: readonly CopyDone[] }
  | {
      readonly ended: "failed";
      readonly error: Error;
      readonly connectionLost: boolean;
      /** How many COPYs had run before the one that failed. */
      readonly copiesBefore: number;
    };

/** How long a server may take to end a statement that it was told to give up, before its connection is cut. */
const patienceMs = 30_000;

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
 * A COPY statement in an ordinary `pg` client, or several in one query, of the same direction, among others that answer
 * no rows. The client takes it for a query of its own (`pg`'s interface for pg-cursor and the like), so nothing else can
 * be sent meanwhile and the client is usable again when it has ended.
 */
export class CopyStatement implements Submittable {
  /** Settles when the server has begun to copy: false when it has ended before. */
  readonly begun: Promise<boolean>;
  /** Settles once the session is free again, or gone. Never rejects. */
  readonly outcome: Promise<CopyOutcome>;

  readonly #client: Client;
  readonly #sql: string;
  readonly #reader: ByteReader | undefined;
  #stream: Duplex | undefined;
  #error: Error | undefined;
  #onCopied: () => void = () => undefined;
  #hasBegun = false;
  /** The format of the COPY that runs. */
  #binary = false;
  readonly #copies: CopyDone[] = [];
  #begin: (begun: boolean) => void = () => undefined;
  #end: (outcome: CopyOutcome) => void = () => undefined;

  private constructor(client: Client, sql: string, reader?: ByteReader) {
    this.#client = client;
    this.#sql = sql;
    this.#reader = reader;
    this.begun = new Promise((resolve) => (this.#begin = resolve));
    this.outcome = new Promise((resolve) => (this.#end = resolve));
  }

  /** Starts COPY ... FROM STDIN; once it has {@link begun}, bytes may be {@link write written}. */
  static from(client: Client, sql: string): CopyStatement {
    return client.query(new CopyStatement(client, sql));
  }

  /** Starts COPY ... TO STDOUT, whose bytes go to the reader in the chunks in which they arrive. */
  static to(client: Client, sql: string, reader: ByteReader): CopyStatement {
    return client.query(new CopyStatement(client, sql, reader));
  }

  /** Writes CopyData messages; answers how many bytes now wait to be sent. */
  write(frames: Buffer): number {
    const stream = this.#openStream();
    if (stream.writable) stream.write(frames);
    return stream.writableLength;
  }

  /** Ends a CopyData message whose rest will not come: in the middle of one the server would take all else for content. */
  pad(lackingBytes: number): void {
    const stream = this.#openStream();
    for (let left = lackingBytes; left > 0 && stream.writable; left -= zeros.length)
      stream.write(left < zeros.length ? zeros.subarray(0, left) : zeros);
  }

  /** Calls back whenever all that was written has been sent, until the statement ends. */
  onDrain(listener: () => void): void {
    const stream = this.#openStream();
    stream.on("drain", listener);
    void this.outcome.then(() => stream.off("drain", listener));
  }

  pause(): void {
    this.#openStream().pause();
  }

  /** Whether the server has begun to copy. */
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

  /** Calls back whenever a COPY TO has given its last row, before the next one gives its first. */
  onCopied(listener: () => void): void {
    this.#onCopied = listener;
  }

  /** Tells the server that a COPY FROM has all its rows. The bytes of the next one may follow at once. */
  finish(): void {
    this.#openStream().write(copyDone);
  }

  /** Gives a COPY FROM up: the server undoes it and says so. Settles as {@link outcome} does. */
  fail(reason: string): Promise<CopyOutcome> {
    if (this.#stream?.writable) this.#stream.write(copyFail(reason));
    return this.#endSoon();
  }

  /** Gives up whatever runs, by a cancel request; what still arrives is read meanwhile. Settles as {@link outcome}. */
  async cancel(): Promise<CopyOutcome> {
    this.#stream?.resume();
    await Promise.race([requestCancel(this.#client), this.outcome]);
    return this.#endSoon();
  }

  /** For `pg`: sends the statement. */
  submit(connection: Connection): void {
    const { stream } = connection;
    this.#stream = stream;
    const release = this.#reader ? divert(stream, this.#reader) : (): void => undefined;
    const onBegun = ({ binary }: { readonly binary?: boolean }): void => {
      this.#binary = binary ?? false;
      this.#hasBegun = true;
      this.#begin(true);
    };
    const onCopied = (): void => this.#onCopied();
    const settle = (connectionLost: boolean): void => {
      connection.off("copyInResponse", onBegun).off("copyOutResponse", onBegun).off("copyDone", onCopied);
      connection.off("readyForQuery", onReady).off("end", onGone);
      release();
      this.#settle(connectionLost);
    };
    const onReady = (): void => settle(false);
    // `pg` tells of the error that broke the connection one tick after its end.
    const onGone = (): void => void setImmediate(() => settle(true));
    connection.on("copyInResponse", onBegun).on("copyOutResponse", onBegun).on("copyDone", onCopied);
    // Before `pg`'s own listener, which may at once send the next query over the same stream.
    connection.prependOnceListener("readyForQuery", onReady);
    connection.once("end", onGone);
    connection.query(this.#sql);
  }

  /** For `pg`: an ErrorResponse, or an error of the connection. */
  handleError(error: Error): void {
    this.#error ??= error;
    // A client whose connection is gone already never submits.
    if (!this.#stream) this.#settle(true);
  }

  /** For `pg`: a command tag, `COPY 42`. */
  handleCommandComplete(message: { readonly text: string }): void {
    const rows = /^COPY (\d+)$/.exec(message.text)?.[1];
    if (rows !== undefined) this.#copies.push({ rows: Number(rows), binary: this.#binary });
  }

  /** For `pg`: heard on the connection instead, where an error does not hide it. */
  handleReadyForQuery(): void {
    return;
  }

  /** For `pg`: heard on the connection instead, as COPY TO's response has no handler. */
  handleCopyInResponse(): void {
    return;
  }

  #settle(connectionLost: boolean): void {
    this.#begin(false);
    this.#end(this.#howItEnded(connectionLost));
  }

  #howItEnded(connectionLost: boolean): CopyOutcome {
    const error = this.#error ?? (connectionLost ? new Error("the connection was closed") : undefined);
    if (!error) return { ended: "complete", copies: this.#copies };
    return { ended: "failed", error, connectionLost, copiesBefore: this.#copies.length };
  }

  /** Waits for the end, which has to come soon: else the connection is cut, since nothing more is to be expected of it. */
  #endSoon(): Promise<CopyOutcome> {
    const cut = setTimeout(
      () => this.#stream?.destroy(new Error("the server did not end the statement in time")),
      patienceMs,
    );
    return this.outcome.finally(() => clearTimeout(cut));
  }

  #openStream(): Duplex {
    if (!this.#stream) throw new EngineError("a COPY was used before the server had begun it");
    return this.#stream;
  }
}
