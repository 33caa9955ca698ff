import { delay } from "./delay.js";

export interface PeriodicTaskOptions {
  /** Pause between two runs. */
  readonly everyMs: number;
  /** Largest share of the time that the runs take: longer runs have longer pauses. By default there is no limit. */
  readonly busyShare?: number;
  /** Longest pause after a long run, whatever the share. By default there is no limit. */
  readonly atMostMs?: number;
  readonly run: () => Promise<void>;
  /** Receives the error of a failed run, which ends the task. */
  readonly onFailure: (error: unknown) => void;
  /** Ends the task like `close`. */
  readonly signal?: AbortSignal;
  /** Pauses before the first run, too. */
  readonly pausesFirst?: boolean;
}

/** Repeats a function with pauses until it is closed. Runs do not overlap. */
export class PeriodicTask {
  readonly #closed = new AbortController();
  readonly #done: Promise<void>;

  constructor(options: PeriodicTaskOptions) {
    this.#done = this.#repeat(options).catch(options.onFailure);
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Ends the current pause. Resolves when the current run has finished. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#done;
  }

  async #repeat({
    everyMs,
    busyShare = Infinity,
    atMostMs = Infinity,
    run,
    signal,
    pausesFirst = false,
  }: PeriodicTaskOptions): Promise<void> {
    const end = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    if (pausesFirst) await delay(everyMs, end);
    while (!end.aborted) {
      const startedAt = Date.now();
      await run();
      const afterRunMs = Math.min((Date.now() - startedAt) / busyShare, atMostMs);
      await delay(Math.max(everyMs, afterRunMs), end);
    }
  }
}
