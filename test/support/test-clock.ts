const realNow = Date.now;

/** Replaces the clock of this process, so that tests skip time instead of waiting. Timers keep running. */
export class TestClock {
  #nowMs: number | undefined;

  /** Stops the clock at the present time. */
  start(): void {
    this.#nowMs = realNow();
    Date.now = () => this.#nowMs ?? realNow();
  }

  /** Moves the clock forward, and stops it there. */
  skip(ms: number): void {
    if (this.#nowMs === undefined) this.start();
    this.#nowMs! += ms;
  }

  /** Shows the real time again. */
  stop(): void {
    this.#nowMs = undefined;
    Date.now = realNow;
  }
}
