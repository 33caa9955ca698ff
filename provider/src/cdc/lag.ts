import type { Client } from "pg";
import { type Lsn, parseLsn } from "../postgres/lsn.js";
import { serverVersion } from "../postgres/server-version.js";

/** Where the source's WAL ends, and what its clock says, as last asked. */
export class SourceClock {
  readonly #source: Client;
  readonly #query: string;
  #walLsn: Lsn | undefined;
  #offsetMs = 0;

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
    return this.#walLsn;
  }

  get walLsn(): Lsn | undefined {
    return this.#walLsn;
  }

  /** Seconds from a moment of the source's clock to now, never below zero. */
  secondsSince(momentMs: number): number {
    return Math.max(0, (Date.now() + this.#offsetMs - momentMs) / 1000);
  }
}

/** The end of the source's WAL at this moment. */
export async function currentLsn(source: Client): Promise<Lsn> {
  return new SourceClock(source, await serverVersion(source)).ask();
}
