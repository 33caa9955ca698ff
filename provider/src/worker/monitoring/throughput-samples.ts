import { log } from "../../log.js";
import { messageOf } from "../../errors.js";
import type { Lease } from "../../store/lease.js";
import { recordSample } from "../../store/samples.js";
import { PeriodicTask } from "../../async/periodic-task.js";

const everyMs = 2000;

/**
 * Returns how long the nth sample is kept. One sample an hour is kept for 90 days, one a minute for a day, all others for 15
 * minutes. This limits the table to about 4,000 samples, however long the migration runs.
 */
export function retentionSeconds(n: number): number {
  if (n % 1800 === 0) return 90 * 24 * 3600;
  return n % 30 === 0 ? 24 * 3600 : 15 * 60;
}

/** Records throughput and lag while a worker runs, for charts. */
export class ThroughputSampler {
  readonly #lease: Lease;
  readonly #task: PeriodicTask;

  constructor(lease: Lease) {
    this.#lease = lease;
    let n = 0;
    this.#task = new PeriodicTask({
      everyMs,
      run: () => recordSample(lease, retentionSeconds(n++)),
      onFailure: warnOfEnd,
    });
  }

  async close(): Promise<void> {
    await this.#task.close();
    // A migration of less than two seconds also gets a first and a last sample.
    await recordSample(this.#lease, retentionSeconds(0)).catch(warnOfEnd);
  }
}

/** The migration continues. A lost lease is detected by its other writes. */
const warnOfEnd = (error: unknown): void => log.warn(`throughput and lag are no longer recorded: ${messageOf(error)}`);
