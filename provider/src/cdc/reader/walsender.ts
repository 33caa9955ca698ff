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

/** The part of pg's connection below its queries. */
interface Wire extends EventEmitter {
  readonly stream: Duplex;
  sendCopyFromChunk(chunk: Buffer): void;
}

export interface WalSenderHandlers extends ChangeStreamHandlers {
  /** The stream has started: this session has exclusive use of the slot. */
  readonly onBegun: () => void;
}

interface WalSenderOptions {
  readonly slot: string;
  readonly from: Lsn;
  /** The target's position, which is not after `from`. */
  readonly confirmed: Lsn;
  readonly pluginOptions: Readonly<Record<string, string>>;
  readonly handlers: WalSenderHandlers;
}

/**
 * Some servers have a wal_sender_timeout of 5 s, and even 1 s is supported. While the socket is not read, only this feedback
 * keeps the stream alive.
 */
const feedbackIntervalMs = 250;
/** After this share of the silence limit, feedback requests a reply. The server has the rest of the limit to answer. */
const pingAfterShareOfSilence = 0.25;
/** A smaller chunk has emptied the socket. Full chunks have up to 64 kB. */
const fullChunkBytes = 32 << 10;
/** How long the socket is not read while the applier is busy: long for a processor, short for the socket's buffers. */
const restMs = 10;

/** XLogData's header: type, start LSN, end of the WAL, time (manual, "Streaming Replication Protocol"). */
const dataHeaderBytes = 25;

/**
 * The stream of a logical slot (manual, "Streaming Replication Protocol"), in a session of `connect`.
 *
 * It does not use pg-logical-replication. That library opens its own client, with other TLS rules, session settings and errors.
 * It also confirms LSN + 1, prints unknown messages, and awaits the consumer for every message. The part of the protocol that
 * remains is this file.
 *
 * A timer sends feedback, so the source receives it even while the target is slow. Feedback contains only the LSN that was
 * passed to {@link confirm}.
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
      const splitter = new MessageSplitter((bytes, start, end) => this.#handle(bytes, start, end), toParser);
      return (chunk) => this.#receive(splitter, chunk);
    });
    this.#timer = setInterval(() => this.#onTimer(), feedbackIntervalMs);
  }

  /** Opens a walsender session for IDENTIFY_SYSTEM and {@link start}. */
  static session(source: Endpoint, database: string): Promise<Client> {
    return connect(source, { database, purpose: "changes", replication: true, unwatched: true });
  }

  /**
   * Starts streaming transactions that committed after `from`, or after the slot's confirmed position if that is later.
   * `onLost` receives all errors, including a refusal to start.
   *
   */
  static start(session: Client, options: WalSenderOptions): WalSender {
    const { slot, from, confirmed, pluginOptions, handlers } = options;
    const sender = new WalSender(session, confirmed, handlers);
    sender.#wire.once("replicationStart", () => handlers.onBegun());
    const list = Object.entries(pluginOptions).map(
      ([name, value]) => `${quoteIdentifier(name)} ${quoteLiteral(value)}`,
    );
    const command = `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(from)} (${list.join(", ")})`;
    session.query(command).then(
      () => sender.#fail(new UnreachableError("the source ended the stream of changes, because it is shutting down")),
      (error: unknown) => sender.#fail(asError(error)),
    );
    return sender;
  }

  /**
   * Allows the source to forget everything that committed before `lsn`, and to start there next time. A commit record may
   * begin exactly at the end of the previous one, and the server skips only records that begin earlier. Therefore pass the
   * end LSN of a commit without adding 1.
   */
  confirm(lsn: Lsn): void {
    if (lsn > this.#confirmed) this.#confirmed = lsn;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Sends feedback and requests a keepalive, which reports how far the source has read its WAL. */
  ping(): void {
    this.#sendFeedback(true);
  }

  /** Stops reading the socket. Feedback continues, so the server waits without its timeout. */
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

  /** Sends the last confirmation and ends the session. */
  async close(): Promise<void> {
    if (!this.#over) this.#sendFeedback(false);
    this.#over = true;
    clearInterval(this.#timer);
    clearTimeout(this.#resting);
    // A Terminate message frees the slot at once. pg does not send it while a query runs.
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

  #receive(splitter: MessageSplitter, chunk: Buffer): void {
    this.#heardAt = Date.now();
    try {
      splitter.push(chunk);
    } catch (error) {
      // An exception in the socket's event handler would end the process.
      this.#fail(asError(error));
    }
    if (chunk.length < fullChunkBytes && this.#mayRest()) this.#rest();
  }

  /** No rest with TLS, which delivers one record per read even if more data is available, or while buffered data remains. */
  #mayRest(): boolean {
    const { stream } = this.#wire;
    return !(stream instanceof TLSSocket) && stream.readableLength === 0 && this.#handlers.isBusy();
  }

  /**
   * Lets data gather in the socket while the applier is busy. Otherwise a fast reader wakes up for every message. The kernel
   * wakes it in the walsender's time, which costs the walsender as much as decoding.
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

  #onTimer(): void {
    const silenceMs = this.#paused ? 0 : Date.now() - this.#heardAt;
    const { silenceLimitMs } = this.#handlers;
    if (silenceMs > silenceLimitMs) {
      this.#fail(new UnreachableError(`the source has been silent for ${Math.round(silenceMs / 1000)} s`));
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

  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#handlers.onLost(error);
  }
}
