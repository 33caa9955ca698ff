/** Wakes all that wait for something to have changed. Take the promise before looking, so that no ring is missed. */
export class Bell {
  #next: Promise<void> | undefined;
  #wake: () => void = () => undefined;
  #rung: AbortController | undefined;

  get next(): Promise<void> {
    return (this.#next ??= new Promise((resolve) => (this.#wake = resolve)));
  }

  /** Aborts at the next ring: for pauses, since whoever raced {@link next} again and again would pile up on it. */
  get nextSignal(): AbortSignal {
    return (this.#rung ??= new AbortController()).signal;
  }

  /** Costs next to nothing while nobody waits. */
  ring(): void {
    this.#rung?.abort();
    this.#rung = undefined;
    if (!this.#next) return;
    this.#next = undefined;
    this.#wake();
  }
}
