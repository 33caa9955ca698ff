import type { Client } from "pg";
import { formatLsn, type Lsn, parseLsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";

const maxSamples = 1000;
const negligibleSeconds = 2;

/** The end of the source's WAL and the offset of its clock, as of the last query. */
export class SourceClock {
  readonly #source: Client;
  readonly #query: string;
  #firstLsn: Lsn | undefined;
  #walLsn: Lsn | undefined;
  #offsetMs = 0;
  /** Samples of the end of the WAL that the stream has not reached yet, oldest first. */
  #ahead: { readonly lsn: Lsn; readonly atMs: number }[] = [];

  /** @param version server_version_num of the source */
  constructor(source: Client, version: number) {
    this.#source = source;
    const position = version >= 100000 ? "pg_current_wal_lsn()" : "pg_current_xlog_location()";
    this.#query = `SELECT ${position}::text AS lsn, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`;
  }

  async ask(): Promise<Lsn> {
    const { rows } = await this.#source.query<{ lsn: string; now: number }>(this.#query);
    this.#walLsn = parseLsn(rows[0]!.lsn);
    this.#firstLsn ??= this.#walLsn;
    this.#offsetMs = rows[0]!.now - Date.now();
    if (this.#ahead.at(-1)?.lsn !== this.#walLsn) this.#ahead.push({ lsn: this.#walLsn, atMs: Date.now() });
    // Keep every second sample, including the oldest.
    if (this.#ahead.length > maxSamples) this.#ahead = this.#ahead.filter((_, index) => index % 2 === 0);
    return this.#walLsn;
  }

  get walLsn(): Lsn | undefined {
    return this.#walLsn;
  }

  /** Whether the stream has reached the first sample. {@link secondsBehind} cannot know the age of earlier WAL. */
  isMeasuredAt(receivedLsn: Lsn): boolean {
    return this.#firstLsn !== undefined && receivedLsn >= this.#firstLsn;
  }

  /**
   * For how many seconds the source has had WAL that the stream has not reached. It is unknown whether this WAL contains a
   * commit. 0 up to about the interval between two queries.
   */
  secondsBehind(receivedLsn: Lsn): number {
    this.#ahead = this.#ahead.filter(({ lsn }) => lsn > receivedLsn);
    const seconds = this.#ahead[0] === undefined ? 0 : (Date.now() - this.#ahead[0].atMs) / 1000;
    return seconds < negligibleSeconds ? 0 : seconds;
  }

  /** Seconds since a time of the source's clock, never negative. */
  secondsSince(momentMs: number): number {
    return Math.max(0, (Date.now() + this.#offsetMs - momentMs) / 1000);
  }
}

/**
 * The end of the source's WAL, including WAL that is not written to disk yet. This position is never inside a record, and
 * every transaction whose effects are visible committed before it. The *written* position (`pg_current_wal_lsn`) can be
 * inside a commit record, because asynchronous commits are written page by page.
 */
export async function currentLsn(source: Client): Promise<Lsn> {
  const isNamedWal = (await serverVersion(source)) >= 100000;
  const position = isNamedWal ? "pg_current_wal_insert_lsn()" : "pg_current_xlog_insert_location()";
  const { rows } = await source.query<{ lsn: string }>(`SELECT pg_catalog.${position}::text AS lsn`);
  return parseLsn(rows[0]!.lsn);
}

/** The end of the WAL as text, also on a standby, where it is the position up to which WAL was replayed. */
export async function readWalPosition(server: Client): Promise<string> {
  const { rows } = await server.query<{ standby: boolean }>("SELECT pg_catalog.pg_is_in_recovery() AS standby");
  if (!rows[0]!.standby) return formatLsn(await currentLsn(server));
  const isNamedWal = (await serverVersion(server)) >= 100000;
  const position = isNamedWal ? "pg_last_wal_replay_lsn()" : "pg_last_xlog_replay_location()";
  const replayed = await server.query<{ lsn: string }>(`SELECT pg_catalog.${position}::text AS lsn`);
  return replayed.rows[0]!.lsn;
}
