export type Side = "source" | "target";

/** What reads less than this tells of round trips, not of how fast a table is read. */
const leastMeasuredBytes = 16 << 20;
/** Timers know no more; four weeks. */
const mostMs = 2 ** 31 - 1;

/** For how long tables may be compared by content, and what fits in the rest of it as far as has been measured. */
export class ContentBudget {
  readonly #over = new AbortController();
  #endsAtMs = Infinity;
  readonly #bytesPerSecond = new Map<Side, number>();
  readonly #retriesExhausted = new Set<number>();

  /** @param begins when the time begins to run; at once unless given */
  constructor(
    readonly seconds: number,
    begins?: Promise<void>,
  ) {
    if (begins) void begins.then(() => this.#begin());
    else this.#begin();
  }

  /** Aborts when the time is over. */
  get spent(): AbortSignal {
    return this.#over.signal;
  }

  #begin(): void {
    const ms = Math.min(Math.ceil(this.seconds * 1000), mostMs);
    this.#endsAtMs = performance.now() + ms;
    setTimeout(() => this.#over.abort(), ms).unref();
  }

  /**
   * Whether a side may read what is left of a table. One that either side has given up is admitted on neither. While
   * nothing large has been read, nothing is known of the rate, and what may fit is begun.
   *
   * @param sessions that read it at the same time
   */
  admits(side: Side, table: number, bytesLeft: number, sessions: number): boolean {
    const rate = this.#bytesPerSecond.get(side);
    const secondsLeft = Math.min(this.seconds, (this.#endsAtMs - performance.now()) / 1000);
    const fits = !this.spent.aborted && secondsLeft > 0 && bytesLeft / ((rate ?? Infinity) * sessions) <= secondsLeft;
    if (!fits) this.#retriesExhausted.add(table);
    return !this.#retriesExhausted.has(table);
  }

  /** Notes what one session has read. The best rate counts: what may fit is tried, and stopped where it does not. */
  measured(side: Side, bytes: number, seconds: number): void {
    if (bytes < leastMeasuredBytes) return;
    this.#bytesPerSecond.set(side, Math.max(this.#bytesPerSecond.get(side) ?? 0, bytes / seconds));
  }
}
