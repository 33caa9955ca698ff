import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { Client } from "pg";
import { EngineError, UnreachableError, asError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { divert } from "../../postgres/connection/divert.js";
import { quoteIdentifier, quoteLiteral } from "../../postgres/identifiers.js";
import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import type { ChangeStream, ChangeStreamHandlers } from "./change-stream.js";
import { MessageSplitter } from "./message-splitter.js";

/** What pg's connection offers beneath its queries. */
interface Wire extends EventEmitter {
  readonly stream: Duplex;
  sendCopyFromChunk(chunk: Buffer): void;
}

export interface WalSenderHandlers extends ChangeStreamHandlers {
  /** The session has the slot for itself. */
  readonly onBegun: () => void;
}

/** wal_sender_timeout has been seen at 5 s, and 1 s has to do: while the socket is not read, only this keeps the stream. */
const feedbackIntervalMs = 250;
/** A server with nothing to say answers a ping, for which it has the rest of the limit on silence. */
const pingAfterShareOfSilence = 0.25;
/** A chunk below it has emptied the socket: they come with up to 64 kB. */
const fullChunkBytes = 32 << 10;
/** How long the socket fills while there is enough to do: long for a processor, short for its buffers. */
const restMs = 10;

/** Of XLogData: its type, where it starts, where the WAL ends, the time (manual, "Streaming Replication Protocol"). */
const dataHeaderBytes = 25;

/**
 * The stream of a logical slot (manual, "Streaming Replication Protocol"), over a session of our own `connect`.
 *
 * Not pg-logical-replication: it makes its own client (other TLS rules, other session settings, other errors), confirms
 * lsn + 1 for the lsn it is given, prints what it does not understand, and its flow control awaits the consumer message
 * by message. What is left of the protocol is this file.
 *
 * Feedback runs on a timer of its own, so however long the target takes, the source hears from us. It says only what was
 * handed to {@link confirm}.
 */
export class WalSender implements ChangeStream {
  readonly #client: Client;
  readonly #wire: Wire;
  readonly #handlers: ChangeStreamHandlers;
  readonly #timer: NodeJS.Timeout;
  #confirmed: Lsn;
  #heardAt = Date.now();
  #paused = false;
  #resting: NodeJS.Timeout | undefined;
  #over = false;

  private constructor(client: Client, confirmed: Lsn, handlers: ChangeStreamHandlers) {
    this.#client = client;
    this.#wire = (client as unknown as { connection: Wire }).connection;
    this.#confirmed = confirmed;
    this.#handlers = handlers;
    divert(this.#wire.stream, (toParser) => {
      const frames = new MessageSplitter((bytes, start, end) => this.#handle(bytes, start, end), toParser);
      return (chunk) => this.#receive(frames, chunk);
    });
    this.#timer = setInterval(() => this.#keepInTouch(), feedbackIntervalMs);
  }

  /** A walsender session that does not stream yet, for IDENTIFY_SYSTEM and then {@link start}. */
  static session(source: Endpoint, database: string): Promise<Client> {
    return connect(source, { database, purpose: "changes", replication: true, unwatched: true });
  }

  /**
   * Starts streaming what was committed after `from`. The server goes on from its confirmed position when that is later.
   * Errors, a refusal to start included, come through `onLost`.
   *
   * @param confirmed what the target has: no later than `from`
   */
  static start(
    session: Client,
    slot: string,
    from: Lsn,
    confirmed: Lsn,
    options: Readonly<Record<string, string>>,
    handlers: WalSenderHandlers,
  ): WalSender {
    const publisher = new WalSender(session, confirmed, handlers);
    publisher.#wire.once("replicationStart", () => handlers.onBegun());
    const list = Object.entries(options).map(([name, value]) => `${quoteIdentifier(name)} ${quoteLiteral(value)}`);
    const command = `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(from)} (${list.join(", ")})`;
    session.query(command).then(
      () => publisher.#lose(new UnreachableError("the source has ended the stream of changes; it is shutting down")),
      (error: unknown) => publisher.#lose(asError(error)),
    );
    return publisher;
  }

  /**
   * Lets the source forget what committed before `lsn`, and start there next time. A commit record may begin at exactly
   * the end of the one before, and the server skips only what begins earlier: so a commit's end goes in as it is.
   */
  confirm(lsn: Lsn): void {
    if (lsn > this.#confirmed) this.#confirmed = lsn;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Sends feedback at once and asks for a keepalive, whose end tells how far the source has read its WAL. */
  ping(): void {
    this.#sendFeedback(true);
  }

  /** Stops reading the socket, not the feedback: the server then waits, without its time-out. */
  pause(): void {
    this.#paused = true;
    this.#wire.stream.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardAt = Date.now();
    if (!this.#resting) this.#wire.stream.resume();
  }

  /** Confirms what there is to confirm and ends the session. */
  async close(): Promise<void> {
    if (!this.#over) this.#sendFeedback(false);
    this.#over = true;
    clearInterval(this.#timer);
    clearTimeout(this.#resting);
    // An orderly Terminate, which pg does not send while a query runs, frees the slot at once.
    await new Promise<void>((resolve) => {
      const stream = this.#wire.stream;
      if (stream.destroyed) {
        resolve();
        return;
      }
      const forced = setTimeout(() => stream.destroy(), 1000);
      stream.once("close", () => {
        clearTimeout(forced);
        resolve();
      });
      stream.resume();
      stream.end(Buffer.from([0x58, 0, 0, 0, 4]));
    });
    await this.#client.end();
  }

  #receive(frames: MessageSplitter, chunk: Buffer): void {
    this.#heardAt = Date.now();
    try {
      frames.push(chunk);
    } catch (error) {
      // Thrown on, it would end the process from inside the socket's event.
      this.#lose(asError(error));
    }
    if (chunk.length < fullChunkBytes && this.#mayRest()) this.#rest();
  }

  /** Not under TLS, whose records are read one at a time however full they are, nor with more at hand than one chunk. */
  #mayRest(): boolean {
    const { stream } = this.#wire;
    return !(stream instanceof TLSSocket) && stream.readableLength === 0 && this.#handlers.isBusy();
  }

  /**
   * A reader that keeps up is woken for every single message, which costs the walsender, in whose time the kernel wakes
   * it, as much as the decoding. Nobody waits for what is read ahead: so it is left to gather.
   */
  #rest(): void {
    if (this.#over || this.#paused) return;
    this.#wire.stream.pause();
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      if (!this.#paused) this.#wire.stream.resume();
    }, restMs);
  }

  #handle(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    const type = bytes[start];
    if (type === 0x77) {
      this.#handlers.onData(bytes, start + dataHeaderBytes, end, () => bytes.readBigUInt64BE(start + 1));
      return;
    }
    if (type !== 0x6b) throw new EngineError(`the source sent a replication message of unknown type ${String(type)}`);
    if (bytes[start + 17] === 1) this.#sendFeedback(false);
    this.#handlers.onKeepalive(bytes.readBigUInt64BE(start + 1));
  }

  #keepInTouch(): void {
    const silenceMs = this.#paused ? 0 : Date.now() - this.#heardAt;
    const { silenceLimitMs } = this.#handlers;
    if (silenceMs > silenceLimitMs) {
      this.#lose(new UnreachableError(`the source has been silent for ${Math.round(silenceMs / 1000)} s`));
      return;
    }
    this.#sendFeedback(silenceMs > pingAfterShareOfSilence * silenceLimitMs);
  }

  #sendFeedback(replyRequested: boolean): void {
    if (this.#over) return;
    const message = Buffer.alloc(34);
    message[0] = 0x72;
    for (const offset of [1, 9, 17]) message.writeBigUInt64BE(this.#confirmed, offset);
    message.writeBigInt64BE(BigInt(Date.now() - 946_684_800_000) * 1000n, 25);
    message[33] = replyRequested ? 1 : 0;
    this.#wire.sendCopyFromChunk(message);
  }

  #lose(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#handlers.onLost(error);
  }
}
