import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { EngineError, UnreachableError, asError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { divert } from "../../postgres/connection/divert.js";
import { quoteLiteral } from "../../postgres/identifiers.js";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { abandon, streamOf } from "../../postgres/connection/session.js";
import { sqlStateOf } from "../../postgres/sql-state.js";
import type { ChangeStream, ChangeStreamHandlers } from "./change-stream.js";
import { dropSlotBy } from "../source/drop-slot.js";
import { MessageSplitter } from "./message-splitter.js";
import { readerSlot } from "../model/names.js";
import { ReadAhead } from "./read-ahead.js";
import { assertSlotNotAhead, type StreamSlot } from "../source/slot-identity.js";

export interface BacklogLimits {
  /** A stream that is so far behind the source's WAL is begun in portions. */
  readonly behindBytes: number;
  /** WAL that one portion covers, at least. */
  readonly portionBytes: number;
  /** Of portions that have come and wait for their turn: enough to do for the target while the next one is decoded. */
  readonly aheadBytes: number;
  /** The rest is left to the walsender. */
  readonly restBytes: number;
  /** WAL from which one portion may be decoded, and so what its file on the source may come to, about. */
  readonly spanBytes: number;
  /** How often the slot itself moves on: it reads WAL anew for that, so not at every portion. */
  readonly advanceEveryMs: number;
  /** A portion that is not read holds the source's vacuum back, as any long statement does. */
  readonly longestPauseMs: number;
  /** Nor is one waited for that does not come, although its session is there. */
  readonly longestSilenceMs: number;
}

export const backlogLimits: BacklogLimits = {
  behindBytes: 16 << 20,
  portionBytes: 8 << 20,
  aheadBytes: 8 << 20,
  restBytes: 1 << 20,
  spanBytes: 1 << 30,
  advanceEveryMs: 5000,
  longestPauseMs: 60_000,
  longestSilenceMs: 600_000,
};

export interface BacklogHandlers extends ChangeStreamHandlers {
  /** What committed before `end` has been sent, and nothing else: a walsender has to go on from there; 0: from the slot. */
  readonly onRead: (end: Lsn) => void;
}

/** The backlog can be read in portions no longer: the stream has to be begun again, by a walsender. */
export class BacklogIncomplete extends Error {}

/**
 * The minor releases from which on pg_replication_slot_advance leaves the catalogue's rows alone that a slot still
 * needs ("fast forward" in the release notes of 17.5); all of these copy slots.
 */
const firstSoundMinors: Readonly<Record<number, number>> = { 13: 21, 14: 18, 15: 13, 16: 9, 17: 5 };
const firstSoundMajor = 18;

/** @param version server_version_num */
export function canAdvanceCopiedSlots(version: number): boolean {
  const major = Math.floor(version / 10_000);
  return major >= firstSoundMajor || version % 10_000 >= (firstSoundMinors[major] ?? Infinity);
}

const watchEveryMs = 1000;
/**
 * The target is to have enough to do with one portion for as long as the next one, which begins anew, takes to be
 * decoded.
 */
const portionGrowth = 2;
/** Then there is mostly one large transaction, which every portion would decode again and none would hold. */
const mostEmptyPortions = 2;
const largeSpanPortions = 4;
const startLimitMs = 30_000;
const partingMs = 2000;

/** Where the reader's slot is, and the source. */
interface Place {
  readonly confirmed: Lsn;
  readonly restart: Lsn;
  readonly end: Lsn;
}

/** A session that has a copy of the stream's slot for itself. */
export interface BacklogSession {
  readonly client: Client;
  readonly processId: number;
  readonly slot: string;
}

/**
 * Reads what has gathered in a slot by SQL, portion by portion: a walsender makes a system call for every message, which
 * costs the source several times what decoding does, while COPY fills its buffer.
 *
 * What moves on with each portion is a temporary copy of the slot, which goes with its session. The slot itself stays at
 * what was confirmed, so whatever breaks here, the stream begins again from there.
 *
 * A portion is decoded as a whole before its first row comes, into a file on the source if it is large. It holds
 * transactions that lie between the place where decoding starts and the portion's end, so this span is bounded: behind a
 * transaction larger than that the rest is left to a walsender.
 */
export class BacklogReader implements ChangeStream {
  readonly #session: BacklogSession;
  readonly #source: Client;
  readonly #slot: StreamSlot;
  readonly #options: readonly string[];
  readonly #limits: BacklogLimits;
  readonly #handlers: BacklogHandlers;
  readonly #watch: NodeJS.Timeout;
  readonly #ahead: ReadAhead;
  #toConfirm: Lsn;
  #confirmed: Lsn;
  #advancedAt = Date.now();
  /** What committed before has come here, from where the slot was on; 0 before it is known where that is. */
  #sentLsn: Lsn = 0n;
  /** And more of what is behind, how far is not known: what goes on from there would send it again. */
  #hasSentMore = false;
  /** Portions in a row without a row. */
  #emptyPortions = 0;
  /** Of the portion in hand. */
  #header = true;
  #heardAt = Date.now();
  #seenAtWorkAt = 0;
  #pausedAt: number | undefined;
  #looks = 0;
  #looking = false;
  #asking = false;
  #over = false;

  /**
   * Copies the slot. Taking the source's last free slot would leave none for a comparison.
   *
   * @param by another session there, whose owner ends it where the source falls silent
   * @returns why not, where the source does not let us: then a walsender has to do
   */
  static async session(source: Endpoint, by: Client, database: string, slot: string): Promise<BacklogSession | string> {
    const copy = readerSlot(slot);
    let client: Client | undefined;
    let late: NodeJS.Timeout | undefined;
    try {
      // Of a worker that died, or that has just been taken over.
      await dropSlotBy(by, copy, startLimitMs / 1000);
      const opened = (client = await connect(source, { database, purpose: "read backlog", unwatched: true }));
      late = setTimeout(() => abandon(opened), startLimitMs);
      const { rows } = await client.query<{ pid: number }>(
        `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_copy_logical_replication_slot($1, $2, true)
          WHERE ${freeSlots} > 1`,
        [slot, copy],
      );
      const { rows: left } = await client.query<{ free: number }>(`SELECT ${freeSlots} AS free`);
      if (!rows[0] || left[0]!.free < 1) {
        await client.end();
        return "it takes a replication slot of the source, of which too few are free";
      }
      await client.query(settings);
      return { client, processId: rows[0].pid, slot: copy };
    } catch (error) {
      await client?.end().catch(() => undefined);
      // If the source is gone, the walsender will say so.
      return messageOf(error);
    } finally {
      clearTimeout(late);
    }
  }

  /**
   * @param source another session, by which this one is watched and ended
   * @param slot what {@link confirm} moves on
   * @param from what committed before need not be sent, though it may be
   */
  constructor(
    session: BacklogSession,
    source: Client,
    slot: StreamSlot,
    from: Lsn,
    options: Readonly<Record<string, string>>,
    limits: BacklogLimits,
    handlers: BacklogHandlers,
  ) {
    this.#session = session;
    this.#source = source;
    this.#slot = slot;
    this.#toConfirm = this.#confirmed = from;
    this.#options = Object.entries(options).flat();
    this.#limits = limits;
    this.#handlers = handlers;
    this.#ahead = new ReadAhead({
      limitBytes: limits.aheadBytes,
      onMessage: (bytes, start, end) => this.#handlers.onData(bytes, start, end, placeless),
      onFull: () => this.#rest(),
      onRoom: () => this.#goOn(),
      onFailed: (error) => this.#lose(asError(error)),
    });
    divert(streamOf(session.client), (toParser) => {
      const frames = new MessageSplitter((bytes, start, end) => this.#handle(bytes, start, end), toParser);
      return (chunk) => this.#receive(frames, chunk);
    });
    this.#watch = setInterval(() => this.#look(), watchEveryMs);
    void this.#read();
  }

  confirm(lsn: Lsn): void {
    if (lsn > this.#toConfirm) this.#toConfirm = lsn;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** The end of the next portion tells. */
  ping(): void {
    return;
  }

  pause(): void {
    this.#ahead.pause();
  }

  resume(): void {
    this.#ahead.resume();
  }

  /** Its slot is gone with it. */
  async close(): Promise<void> {
    this.#end();
    const { client } = this.#session;
    const stream = streamOf(client);
    stream.resume();
    if (this.#asking && !stream.destroyed) {
      const gone = new Promise((resolve) => stream.once("close", resolve));
      this.#terminate();
      await Promise.race([gone, sleep(partingMs)]);
    }
    await client.end().catch(() => undefined);
  }

  #rest(): void {
    this.#pausedAt = Date.now();
    streamOf(this.#session.client).pause();
  }

  #goOn(): void {
    this.#pausedAt = undefined;
    this.#heardAt = Date.now();
    streamOf(this.#session.client).resume();
  }

  async #read(): Promise<void> {
    try {
      for (let isFirst = true; ; isFirst = false) {
        const place = await this.#place();
        if (this.#over) return;
        // It was copied from where somebody else may have moved the slot on to.
        if (isFirst) assertSlotNotAhead(this.#slot, place.confirmed, this.#confirmed);
        this.#sentLsn = place.confirmed;
        this.#hasSentMore = false;
        this.#ahead.after(() => this.#handlers.onKeepalive(place.confirmed));
        const spanBytes = Number(place.confirmed - place.restart);
        const isRead = Number(place.end - place.confirmed) <= this.#limits.restBytes;
        const { portionBytes } = this.#limits;
        const isInLarge =
          (this.#emptyPortions >= mostEmptyPortions && spanBytes > largeSpanPortions * portionBytes) ||
          spanBytes > this.#limits.spanBytes / 2;
        const isLast = isRead || isInLarge;
        if (isLast || Date.now() - this.#advancedAt > this.#limits.advanceEveryMs) await this.#advance();
        if (isLast) break;
        const growth = this.#emptyPortions > 0 ? 1 : portionGrowth;
        await this.#readPortion(place.confirmed + BigInt(portionBehind(spanBytes, portionBytes, growth)));
      }
    } catch (error) {
      if (!isRefused(error)) {
        this.#lose(asError(error));
        return;
      }
      if (this.#hasSentMore) {
        this.#lose(
          new BacklogIncomplete(`the source does not let its backlog be read: ${messageOf(error)}`, { cause: error }),
        );
        return;
      }
      // If it is not the way of reading that the source refuses, the walsender will meet it, too.
    }
    const sentLsn = this.#sentLsn;
    this.#ahead.after(() => {
      if (this.#over) return;
      this.#end();
      this.#handlers.onRead(sentLsn);
    });
  }

  async #ask<Row extends object>(query: string, values?: readonly unknown[]): Promise<Row[]> {
    this.#asking = true;
    this.#heardAt = Date.now();
    try {
      return (await this.#session.client.query<Row>(query, values && [...values])).rows;
    } finally {
      this.#asking = false;
    }
  }

  async #place(): Promise<Place> {
    const [row] = await this.#ask<Record<keyof Place, string>>(
      `SELECT confirmed_flush_lsn::text AS confirmed, restart_lsn::text AS restart,
              pg_catalog.pg_current_wal_flush_lsn()::text AS "end"
         FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`,
      [this.#session.slot],
    );
    if (!row) throw new UnreachableError("the copy of the slot by which the backlog was read is gone");
    return { confirmed: parseLsn(row.confirmed), restart: parseLsn(row.restart), end: parseLsn(row.end) };
  }

  async #readPortion(upTo: Lsn): Promise<void> {
    this.#header = true;
    const { slot } = this.#session;
    const call = [slot, formatLsn(upTo)].map(quoteLiteral);
    const options = this.#options.map(quoteLiteral);
    await this.#ask(
      `COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes(${[...call, "NULL", ...options].join(", ")}))
         TO STDOUT (FORMAT binary)`,
    );
    this.#emptyPortions = this.#hasSentMore ? 0 : this.#emptyPortions + 1;
  }

  /** A commit record may begin at exactly the end of the one before, and the slot skips only what begins earlier. */
  async #advance(): Promise<void> {
    this.#advancedAt = Date.now();
    const lsn = this.#toConfirm;
    if (lsn <= this.#confirmed) return;
    await this.#ask("SELECT pg_catalog.pg_replication_slot_advance($1, $2)", [this.#slot.name, formatLsn(lsn)]);
    this.#confirmed = lsn;
  }

  #receive(frames: MessageSplitter, chunk: Buffer): void {
    this.#heardAt = Date.now();
    try {
      frames.push(chunk);
    } catch (error) {
      // Thrown on, it would end the process from inside the socket's event.
      this.#lose(asError(error));
    }
  }

  /** One row of COPY's binary format, behind the format's header if it is the first (manual, "COPY", "Binary Format"). */
  #handle(bytes: Buffer, messageStart: number, end: number): void {
    if (this.#over) return;
    const start = messageStart + (this.#header ? headerBytes : 0);
    this.#header = false;
    if (start === end) return;
    const fields = bytes.readInt16BE(start);
    if (fields === endOfRows) return;
    if (fields !== 1 || start + rowHeaderBytes + bytes.readInt32BE(start + 2) !== end)
      throw new EngineError("the source sent a row of its backlog that is not one message");
    this.#hasSentMore = true;
    this.#ahead.push(bytes, start + rowHeaderBytes, end);
  }

  /** A portion may take long to decode: whether the session lives is known from another one. */
  #look(): void {
    const now = Date.now();
    if (this.#pausedAt !== undefined) {
      if (now - this.#pausedAt > this.#limits.longestPauseMs)
        this.#leave("the backlog is not read in portions while the target takes so long");
      return;
    }
    if (this.#asking && now - this.#heardAt > this.#limits.longestSilenceMs) {
      this.#leave("the source is at work on a portion of its backlog for too long");
      return;
    }
    const knownAt = Math.max(this.#heardAt, this.#seenAtWorkAt);
    if (!this.#asking || this.#looking || now - knownAt < this.#handlers.silenceLimitMs) {
      this.#looks = 0;
      return;
    }
    this.#looking = true;
    const heardAt = this.#heardAt;
    this.#isAtWork().then(
      (isAtWork) => {
        this.#looking = false;
        if (isAtWork) this.#seenAtWorkAt = Date.now();
        // Twice, so that what was on its way at the first look has had time to arrive.
        else if (heardAt === this.#heardAt && ++this.#looks > 1)
          this.#lose(new UnreachableError("the connection on which the source's backlog is read is dead"));
      },
      () => (this.#looking = false),
    );
  }

  /** Not by the session's state, which is not told where track_activities is off; an idle one, too, waits for its client. */
  async #isAtWork(): Promise<boolean> {
    const { rowCount } = await this.#source.query(
      "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND wait_event_type IS DISTINCT FROM 'Client'",
      [this.#session.processId],
    );
    return rowCount === 1;
  }

  #leave(reason: string): void {
    this.#lose(new BacklogIncomplete(reason));
    this.#terminate();
  }

  #terminate(): void {
    // Where the source is not to be reached, it notices by itself.
    this.#source.query("SELECT pg_catalog.pg_terminate_backend($1)", [this.#session.processId]).catch(() => undefined);
  }

  #lose(error: Error): void {
    if (this.#over) return;
    this.#end();
    this.#handlers.onLost(error);
  }

  #end(): void {
    this.#over = true;
    this.#ahead.close();
    clearInterval(this.#watch);
  }
}

/** So much that what is decoded again, from where decoding has to start, is no more than what is read; quicker at first. */
const portionBehind = (spanBytes: number, portionBytes: number, growth: number): number =>
  Math.max(portionBytes, Math.min(growth * spanBytes, growth * portionBytes), spanBytes);

/** A server's own word, which does not end the session. */
const isRefused = (error: unknown): boolean => {
  const code = sqlStateOf(error);
  return code.length === 5 && !/^(08|57P)/.test(code);
};

const freeSlots =
  "current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_catalog.pg_replication_slots)";

/** A backend whose client is gone gives up, also while it decodes; a portion as it is mostly needs no file. */
const settings = `
  SELECT pg_catalog.set_config(wanted.name, wanted.value, false)
    FROM (VALUES ('client_connection_check_interval', '5s'), ('work_mem', '32MB')) AS wanted (name, value)
    JOIN pg_catalog.pg_settings AS known ON known.name OPERATOR(pg_catalog.=) wanted.name`;

/** Signature, flags and the length of an extension that there is none of. */
const headerBytes = 19;
const endOfRows = -1;
/** How many fields, and the length of the one. */
const rowHeaderBytes = 6;

const placeless = (): Lsn => {
  throw new EngineError("a message of the backlog was asked for its place, which only its transaction has");
};
