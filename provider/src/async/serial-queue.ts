/** Runs one after another, in the order of asking, whatever becomes of the one before. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all that have asked so far have had theirs. */
  async over(): Promise<void> {
    await this.#last;
  }
}
