import type { Client } from "pg";
import { type Lsn, parseLsn } from "../../postgres/lsn.js";
import { serverVersion } from "../../postgres/server-version.js";

const mostMoments = 1000;
const negligibleSeconds = 2;

/** Where the source's WAL ends, and what its clock says, as last asked. */
export class SourceClock {
  readonly #source: Client;
  readonly #query: string;
  #walLsn: Lsn | undefined;
  #offsetMs = 0;
  /** Where the WAL ended at which moments, as far as the stream has not come to: from the oldest on. */
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
    this.#offsetMs = rows[0]!.now - Date.now();
    if (this.#ahead.at(-1)?.lsn !== this.#walLsn) this.#ahead.push({ lsn: this.#walLsn, atMs: Date.now() });
    // Coarser, the further it is behind; the oldest stays.
    if (this.#ahead.length > mostMoments) this.#ahead = this.#ahead.filter((_, index) => index % 2 === 0);
    return this.#walLsn;
  }

  get walLsn(): Lsn | undefined {
    return this.#walLsn;
  }

  /**
   * For how long, in seconds, the source has had WAL that a stream has not come to: nobody can tell whether there is a
   * commit in it. 0 while that is no longer than questions are apart.
   */
  secondsBehind(receivedLsn: Lsn): number {
    this.#ahead = this.#ahead.filter(({ lsn }) => lsn > receivedLsn);
    const seconds = this.#ahead[0] === undefined ? 0 : (Date.now() - this.#ahead[0].atMs) / 1000;
    return seconds < negligibleSeconds ? 0 : seconds;
  }

  /** Seconds from a moment of the source's clock to now, never below zero. */
  secondsSince(momentMs: number): number {
    return Math.max(0, (Date.now() + this.#offsetMs - momentMs) / 1000);
  }
}

/**
 * The end of what is in the source's WAL now, written or not: a position between two records, beyond every transaction whose
 * effects can be seen. The written position lies inside a record while asynchronous commits are written page by page.
 */
export async function currentLsn(source: Client): Promise<Lsn> {
  const isNamedWal = (await serverVersion(source)) >= 100000;
  const position = isNamedWal ? "pg_current_wal_insert_lsn()" : "pg_current_xlog_insert_location()";
  const { rows } = await source.query<{ lsn: string }>(`SELECT pg_catalog.${position}::text AS lsn`);
  return parseLsn(rows[0]!.lsn);
}
