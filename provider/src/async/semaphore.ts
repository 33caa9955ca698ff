/** At most so many jobs at the same time, in the order in which they asked. The limit may change while jobs run. */
export class JobSlots {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(readonly limit: () => number) {}

  /** @param signal takes the job out of the queue, by its reason, as long as it has not begun */
  async run<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.limit() && this.#waiting.length === 0) this.#running++;
    else await this.#turn(signal);
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

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(signal?.reason as Error);
      };
      const begin = (): void => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(begin);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
