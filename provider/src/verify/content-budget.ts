export type Side = "source" | "target";

/** Minimum size for measuring a rate. For smaller reads, round trips dominate. */
const minMeasuredBytes = 16 << 20;
/** Maximum delay of a timer: about four weeks. */
const maxMs = 2 ** 31 - 1;

/** Time limit for comparing tables by content. It estimates from measured rates what fits in the remaining time. */
export class ContentBudget {
  readonly #over = new AbortController();
  #endsAtMs = Infinity;
  readonly #bytesPerSecond = new Map<Side, number>();
  readonly #retriesExhausted = new Set<number>();

  /** @param begins when the time starts, with the seconds that have passed since then; by default at once */
  constructor(
    readonly seconds: number,
    begins?: Promise<number>,
  ) {
    if (begins) void begins.then((passed) => this.#begin(passed));
    else this.#begin(0);
  }

  /** Aborts when the time has expired. */
  get spent(): AbortSignal {
    return this.#over.signal;
  }

  #begin(passedSeconds: number): void {
    const ms = Math.min(Math.max(0, Math.ceil((this.seconds - passedSeconds) * 1000)), maxMs);
    this.#endsAtMs = performance.now() + ms;
    setTimeout(() => this.#over.abort(), ms).unref();
  }

  /**
   * Whether a side may read the rest of a table. If one side was denied, the other is, too. Before a rate was measured,
   * tables are admitted.
   *
   * @param table its OID
   * @param sessions number of sessions that read it at the same time
   */
  admits(side: Side, table: number, bytesLeft: number, sessions: number): boolean {
    const rate = this.#bytesPerSecond.get(side);
    const secondsLeft = Math.min(this.seconds, (this.#endsAtMs - performance.now()) / 1000);
    const fits = !this.spent.aborted && secondsLeft > 0 && bytesLeft / ((rate ?? Infinity) * sessions) <= secondsLeft;
    if (!fits) this.#retriesExhausted.add(table);
    return !this.#retriesExhausted.has(table);
  }

  /** Records the rate of one read. The best rate counts: a table that may fit is tried, and stopped if it does not. */
  measured(side: Side, bytes: number, seconds: number): void {
    if (bytes < minMeasuredBytes) return;
    this.#bytesPerSecond.set(side, Math.max(this.#bytesPerSecond.get(side) ?? 0, bytes / seconds));
  }
}
