import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { EngineError, UnreachableError, asError, messageOf } from "../../errors.js";
import { divert } from "../../postgres/connection/divert.js";
import { streamOf } from "../../postgres/connection/session.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { sqlStateOf } from "../../postgres/sql-state.js";
import { BacklogIncomplete } from "../model/signals.js";
import { assertSlotNotAhead, type StreamSlot } from "../source/slot-identity.js";
import { type BacklogLimits, isInLargeTransaction, nextPortionBytes } from "./backlog-limits.js";
import type { BacklogSession } from "./backlog-session.js";
import { BacklogWatch } from "./backlog-watch.js";
import type { ChangeStream, ChangeStreamHandlers } from "./change-stream.js";
import { MessageSplitter } from "./message-splitter.js";
import { ReadAhead } from "./read-ahead.js";

export interface BacklogHandlers extends ChangeStreamHandlers {
  /** Exactly the transactions that committed before `end` have been sent. A walsender has to continue there; 0: at the slot. */
  readonly onRead: (end: Lsn) => void;
}

export interface BacklogReaderOptions {
  readonly session: BacklogSession;
  /** Another session on the source, which watches and terminates the reading session. */
  readonly source: Client;
  /** The stream's slot, which {@link BacklogReader.confirm} advances. */
  readonly slot: StreamSlot;
  /** Transactions that committed before this LSN need not be sent, but may be. */
  readonly from: Lsn;
  readonly pluginOptions: Readonly<Record<string, string>>;
  readonly limits: BacklogLimits;
  readonly handlers: BacklogHandlers;
}

const closeLimitMs = 2000;

/** The position of the reader's slot, and the end of the source's WAL. */
interface Position {
  readonly confirmed: Lsn;
  readonly restart: Lsn;
  readonly end: Lsn;
}

/**
 * Reads the backlog of a slot with SQL, in portions. A walsender makes a system call for each message, which costs the source
 * several times as much as decoding. COPY sends full buffers.
 *
 * Each portion advances a temporary copy of the slot, which ends with its session. The slot itself remains at the confirmed
 * position, so the stream can start there again after any failure.
 *
 * The source decodes a portion completely before it sends the first row, and writes a large portion to a file. A portion has
 * the transactions between the start of decoding and the portion's end, so this span is limited. After a transaction larger
 * than that, the walsender reads the rest.
 */
export class BacklogReader implements ChangeStream {
  readonly #options: BacklogReaderOptions;
  readonly #watch: BacklogWatch;
  readonly #ahead: ReadAhead;
  #toConfirm: Lsn;
  #confirmed: Lsn;
  #advancedAt = Date.now();
  /** Every transaction that committed before this LSN was received; 0 until the slot's position is known. */
  #receivedLsn: Lsn = 0n;
  /** Whether messages after `#receivedLsn` were received. A walsender that continues there would send them again. */
  #hasReceivedMore = false;
  #emptyPortions = 0;
  /** Whether the next COPY row has the format's header. */
  #expectsHeader = true;
  #isClosed = false;

  constructor(options: BacklogReaderOptions) {
    const { session, source, from, limits, handlers } = options;
    this.#options = options;
    this.#toConfirm = this.#confirmed = from;
    this.#ahead = new ReadAhead({
      limitBytes: limits.aheadBytes,
      onMessage: (bytes, start, end) => handlers.onData(bytes, start, end, unknownLsn),
      onFull: () => this.#pauseSocket(),
      onRoom: () => this.#resumeSocket(),
      onFailed: (error) => this.#fail(asError(error)),
    });
    divert(streamOf(session.client), (toParser) => {
      const splitter = new MessageSplitter((bytes, start, end) => this.#handle(bytes, start, end), toParser);
      return (chunk) => this.#receive(splitter, chunk);
    });
    this.#watch = new BacklogWatch({
      ...{ source, processId: session.processId, limits, silenceLimitMs: handlers.silenceLimitMs },
      onFailed: (error) => {
        this.#fail(error);
        if (error instanceof BacklogIncomplete) this.#terminateSession();
      },
    });
    void this.#read();
  }

  confirm(lsn: Lsn): void {
    if (lsn > this.#toConfirm) this.#toConfirm = lsn;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Not needed: each portion reports the position. */
  ping(): void {
    return;
  }

  pause(): void {
    this.#ahead.pause();
  }

  resume(): void {
    this.#ahead.resume();
  }

  /** Ends the session, and with it the copy of the slot. */
  async close(): Promise<void> {
    this.#end();
    const { client } = this.#options.session;
    const stream = streamOf(client);
    stream.resume();
    if (this.#watch.isQuerying && !stream.destroyed) {
      const closed = new Promise((resolve) => stream.once("close", resolve));
      this.#terminateSession();
      await Promise.race([closed, sleep(closeLimitMs)]);
    }
    await client.end().catch(() => undefined);
  }

  #pauseSocket(): void {
    this.#watch.pause();
    streamOf(this.#options.session.client).pause();
  }

  #resumeSocket(): void {
    this.#watch.resume();
    streamOf(this.#options.session.client).resume();
  }

  async #read(): Promise<void> {
    try {
      await this.#readPortions();
    } catch (error) {
      if (!isRefused(error)) {
        this.#fail(asError(error));
        return;
      }
      if (this.#hasReceivedMore) {
        const reason = `the source refuses to send its backlog: ${messageOf(error)}`;
        this.#fail(new BacklogIncomplete(reason, { cause: error }));
        return;
      }
      // If the source refuses not only this way of reading, the walsender gets the same error.
    }
    const receivedLsn = this.#receivedLsn;
    this.#ahead.after(() => {
      if (this.#isClosed) return;
      this.#end();
      this.#options.handlers.onRead(receivedLsn);
    });
  }

  async #readPortions(): Promise<void> {
    const { slot, limits, handlers } = this.#options;
    for (let isFirst = true; ; isFirst = false) {
      const { confirmed, restart, end } = await this.#readPosition();
      if (this.#isClosed) return;
      // Another session may have advanced the slot before it was copied.
      if (isFirst) assertSlotNotAhead(slot, confirmed, this.#confirmed);
      this.#receivedLsn = confirmed;
      this.#hasReceivedMore = false;
      this.#ahead.after(() => handlers.onKeepalive(confirmed));
      const start = { spanBytes: Number(confirmed - restart), emptyPortions: this.#emptyPortions };
      const isLast = Number(end - confirmed) <= limits.restBytes || isInLargeTransaction(start, limits);
      if (isLast || Date.now() - this.#advancedAt > limits.advanceEveryMs) await this.#advanceSlot();
      if (isLast) return;
      await this.#readPortion(confirmed + BigInt(nextPortionBytes(start, limits)));
    }
  }

  async #query<Row extends object>(query: string, values?: readonly unknown[]): Promise<Row[]> {
    const { client } = this.#options.session;
    return this.#watch.during(async () => (await client.query<Row>(query, values && [...values])).rows);
  }

  async #readPosition(): Promise<Position> {
    const [row] = await this.#query<Record<keyof Position, string>>(
      `SELECT confirmed_flush_lsn::text AS confirmed, restart_lsn::text AS restart,
              pg_catalog.pg_current_wal_flush_lsn()::text AS "end"
         FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
      [this.#options.session.slot],
    );
    if (!row) throw new UnreachableError("the copy of the slot from which the backlog is read no longer exists");
    return { confirmed: parseLsn(row.confirmed), restart: parseLsn(row.restart), end: parseLsn(row.end) };
  }

  async #readPortion(upTo: Lsn): Promise<void> {
    this.#expectsHeader = true;
    const { session, pluginOptions } = this.#options;
    const call = [session.slot, formatLsn(upTo)].map(quoteLiteral);
    const options = Object.entries(pluginOptions).flat().map(quoteLiteral);
    await this.#query(
      `COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes(${[...call, "NULL", ...options].join(", ")}))
         TO STDOUT (FORMAT binary)`,
    );
    this.#emptyPortions = this.#hasReceivedMore ? 0 : this.#emptyPortions + 1;
  }

  /** A commit record may begin exactly at the end of the previous one, and the slot skips only records that begin earlier. */
  async #advanceSlot(): Promise<void> {
    this.#advancedAt = Date.now();
    const lsn = this.#toConfirm;
    if (lsn <= this.#confirmed) return;
    const { slot } = this.#options;
    await this.#query("SELECT pg_catalog.pg_replication_slot_advance($1, $2)", [slot.name, formatLsn(lsn)]);
    this.#confirmed = lsn;
  }

  #receive(splitter: MessageSplitter, chunk: Buffer): void {
    this.#watch.heard();
    try {
      splitter.push(chunk);
    } catch (error) {
      // An exception in the socket's event handler would end the process.
      this.#fail(asError(error));
    }
  }

  /** Handles a row of COPY's binary format. The format's header precedes the first row (manual, "COPY", "Binary Format"). */
  #handle(bytes: Buffer, messageStart: number, end: number): void {
    if (this.#isClosed) return;
    const start = messageStart + (this.#expectsHeader ? headerBytes : 0);
    this.#expectsHeader = false;
    if (start === end) return;
    const fields = bytes.readInt16BE(start);
    if (fields === endOfRows) return;
    if (fields !== 1 || start + rowHeaderBytes + bytes.readInt32BE(start + 2) !== end)
      throw new EngineError("the source sent an invalid row of its backlog: expected one field");
    this.#hasReceivedMore = true;
    this.#ahead.push(bytes, start + rowHeaderBytes, end);
  }

  #terminateSession(): void {
    const { source, session } = this.#options;
    // An unreachable source notices the lost connection itself.
    source.query("SELECT pg_catalog.pg_terminate_backend($1)", [session.processId]).catch(() => undefined);
  }

  #fail(error: Error): void {
    if (this.#isClosed) return;
    this.#end();
    this.#options.handlers.onLost(error);
  }

  #end(): void {
    this.#isClosed = true;
    this.#ahead.close();
    this.#watch.close();
  }
}

/** Whether the server answered with an error that does not end the session. */
const isRefused = (error: unknown): boolean => {
  const code = sqlStateOf(error);
  return code.length === 5 && !/^(08|57P)/.test(code);
};

/** The signature, the flags, and the length of the empty extension. */
const headerBytes = 19;
const endOfRows = -1;
/** The number of fields, and the length of the field. */
const rowHeaderBytes = 6;

const unknownLsn = (): Lsn => {
  throw new EngineError("requested the LSN of a backlog message: only transactions have one");
};
