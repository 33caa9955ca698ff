const maxFailures = 3;
const refusedForMs = 5 * 60_000;

/** Pool processes whose workers could not apply lent streams several times in a row. They get no stream for a while. */
export class BorrowerBackoff {
  readonly #failures = new Map<string, { count: number; refusedUntil: number }>();

  /** @param now as `Date.now()` */
  isRefused(pool: string, now: number): boolean {
    return now < (this.#failures.get(pool)?.refusedUntil ?? 0);
  }

  noteFailure(pool: string, now: number): void {
    const count = (this.#failures.get(pool)?.count ?? 0) + 1;
    this.#failures.set(pool, { count, refusedUntil: count < maxFailures ? 0 : now + refusedForMs });
  }

  noteSuccess(pool: string): void {
    this.#failures.delete(pool);
  }
}
