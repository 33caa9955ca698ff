/** Wakes all waiters when a condition changes. Read `next` before checking the condition, or a notification can be missed. */
export class Notifier {
  #next: Promise<void> | undefined;
  #wake: () => void = () => undefined;
  #notified: AbortController | undefined;

  get next(): Promise<void> {
    return (this.#next ??= new Promise((resolve) => (this.#wake = resolve)));
  }

  /** Aborts at the next notification. Use it to end pauses early: racing {@link next} in a loop leaks promise reactions. */
  get nextSignal(): AbortSignal {
    return (this.#notified ??= new AbortController()).signal;
  }

  /** Cheap while there are no waiters. */
  notify(): void {
    this.#notified?.abort();
    this.#notified = undefined;
    if (!this.#next) return;
    this.#next = undefined;
    this.#wake();
  }
}
