import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";

const sampleMs = 100;
const reportMs = 30_000;

/** A row of the source that is updated all the time. The lag is the age of the row that the target shows. */
export class Heartbeat {
  largestLagSeconds = 0;
  largestLagBytes = 0;
  readonly #source: Client;
  readonly #target: Client;

  constructor(source: Client, target: Client) {
    this.#source = source;
    this.#target = target;
  }

  observe(): { readonly stop: () => Promise<void> } {
    let stopped = false;
    const observing = (async () => {
      while (!stopped) {
        await Promise.all([this.#beat(), sleep(sampleMs)]);
        await this.#measure();
      }
    })();
    // A failure is reported by stop.
    observing.catch(() => undefined);
    return {
      stop: () => {
        stopped = true;
        return observing;
      },
    };
  }

  /** Writes a new value, and waits until the target shows it. */
  async untilArrived(say: (line: string) => void): Promise<void> {
    const beat = await this.#beat();
    let reportedAt = performance.now();
    for (;;) {
      const { rows } = await this.#target.query<{ beat: number }>("SELECT beat FROM heartbeat");
      if (rows[0]!.beat >= beat) break;
      if (performance.now() - reportedAt > reportMs) {
        await this.#measure();
        say(`the target is still behind: it has ${rows[0]!.beat} of ${beat} heartbeats`);
        reportedAt = performance.now();
      }
      await sleep(10);
    }
  }

  async end(): Promise<void> {
    await Promise.all([this.#source.end(), this.#target.end()]);
  }

  async #beat(): Promise<number> {
    const { rows } = await this.#source.query<{ beat: number }>(
      "UPDATE heartbeat SET beat = beat + 1, at = clock_timestamp(), lsn = pg_current_wal_insert_lsn() RETURNING beat",
    );
    return rows[0]!.beat;
  }

  async #measure(): Promise<void> {
    const shown = await this.#target.query<{ seconds: string; lsn: string }>(
      "SELECT extract(epoch FROM clock_timestamp() - at) AS seconds, lsn FROM heartbeat",
    );
    const { seconds, lsn } = shown.rows[0]!;
    const behind = await this.#source.query<{ bytes: string }>(
      "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1) AS bytes",
      [lsn],
    );
    this.largestLagSeconds = Math.max(this.largestLagSeconds, Number(seconds));
    this.largestLagBytes = Math.max(this.largestLagBytes, Number(behind.rows[0]!.bytes));
  }
}
