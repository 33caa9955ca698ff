import type { Clock } from "../../provider/src/copy/copy-rate";

/** A clock that stands still until the test advances it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { readonly at: number; readonly run: () => void }[] = [];

  readonly now = (): number => this.#nowMs;

  readonly after = (ms: number, run: () => void): void => void this.#timers.push({ at: this.#nowMs + ms, run });

  /** Runs the timers that are due, in their order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers.sort((one, other) => one.at - other.at);
      if (!next || next.at > end) break;
      this.#timers.shift();
      this.#nowMs = next.at;
      next.run();
    }
    this.#nowMs = end;
  }
}
