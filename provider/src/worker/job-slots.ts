/** At most so many jobs at the same time, in the order in which they asked. The limit may change while jobs run. */
export class JobSlots {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(readonly limit: () => number) {}

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#running < this.limit() && this.#waiting.length === 0) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await job();
    } finally {
      this.#running--;
      while (this.#running < this.limit() && this.#waiting.length > 0) {
        this.#running++;
        this.#waiting.shift()!();
      }
    }
  }
}
