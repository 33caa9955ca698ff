import { log } from "../../log.js";
import { messageOf } from "../../errors.js";
import type { Lease } from "../../store/lease.js";
import { recordSample } from "../../store/samples.js";
import { delay } from "../../async/delay.js";

const everyMs = 2000;

/**
 * How long the nth sample is kept: one of an hour for ninety days, one of a minute for a day, any other for a quarter of an
 * hour. So there are never more than about four thousand of them, however long a migration is followed.
 */
export function retentionSeconds(n: number): number {
  if (n % 1800 === 0) return 90 * 24 * 3600;
  return n % 30 === 0 ? 24 * 3600 : 15 * 60;
}

/** Keeps a record of throughput and lag while a worker is at work, for whoever looks later. */
export class ThroughputSampler {
  readonly #end = new AbortController();
  readonly #done: Promise<void>;

  constructor(lease: Lease) {
    this.#done = this.#measure(lease).catch((error: unknown) => {
      // The migration goes on without: what takes its lease away is told by its other writes.
      log.warn(`throughput and lag are not recorded any more: ${messageOf(error)}`);
    });
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  async #measure(lease: Lease): Promise<void> {
    for (let n = 0; !this.#end.signal.aborted; n++) {
      await recordSample(lease, retentionSeconds(n));
      await delay(everyMs, this.#end.signal);
    }
    // A migration that took less than two seconds has a beginning and an end, too.
    await recordSample(lease, retentionSeconds(0));
  }
}
