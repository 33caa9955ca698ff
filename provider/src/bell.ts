/** Wakes all that wait for something to have changed. Take the promise before looking, so that no ring is missed. */
export class Bell {
  #next: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  get next(): Promise<void> {
    return (this.#next ??= new Promise((resolve) => (this.#wake = resolve)));
  }

  /** Costs next to nothing while nobody waits. */
  ring(): void {
    if (!this.#next) return;
    this.#next = undefined;
    this.#wake();
  }
}
