/** Wakes all that wait for something to have changed. Take the promise before looking, so that no ring is missed. */
export class Bell {
  #ring: () => void = () => undefined;
  #next = this.#renew();

  get next(): Promise<void> {
    return this.#next;
  }

  ring(): void {
    const ring = this.#ring;
    this.#next = this.#renew();
    ring();
  }

  #renew(): Promise<void> {
    return new Promise((resolve) => {
      this.#ring = resolve;
    });
  }
}
