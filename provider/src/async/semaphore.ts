/** Runs at most `limit()` jobs at the same time, in the order of their calls. The limit may change while jobs run. */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(readonly limit: () => number) {}

  /** @param signal removes a waiting job from the queue and rejects with its reason; a running job is not affected */
  async run<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.limit() && this.#waiting.length === 0) this.#running++;
    else await this.#waitForSlot(signal);
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

  #waitForSlot(signal: AbortSignal | undefined): Promise<void> {
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
