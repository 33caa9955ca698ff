/** Runs jobs one after another, in the order of their calls. A failed job does not stop the next one. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all jobs queued so far have finished. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
