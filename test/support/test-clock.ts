import { mock } from "node:test";

/** Replaces the clock of this process, so that tests skip time instead of waiting. Timers keep running. */
export class TestClock {
  #isRunning = false;

  /** Stops the clock at the present time. */
  start(): void {
    mock.timers.enable({ apis: ["Date"], now: Date.now() });
    this.#isRunning = true;
  }

  /** Moves the clock forward, and stops it there. */
  skip(ms: number): void {
    if (!this.#isRunning) this.start();
    mock.timers.setTime(Date.now() + ms);
  }

  /** Shows the real time again. */
  stop(): void {
    if (this.#isRunning) mock.timers.reset();
    this.#isRunning = false;
  }
}
