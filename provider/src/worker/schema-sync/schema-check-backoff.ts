const firstPauseMs = 3000;
const longestPauseMs = 30_000;

/**
 * Looks at a schema that came to nothing: told once, and less and less often tried again while the schema stays as it
 * was.
 */
export class SchemaCheckBackoff {
  #fingerprint: string | undefined;
  #said = "";
  #pauseMs = 0;
  #restUntil = 0;

  /** Whether a look at the schema of this fingerprint may wait. */
  shouldSkip(fingerprint: string): boolean {
    return fingerprint === this.#fingerprint && Date.now() < this.#restUntil;
  }

  /** @returns whether the text is to be told: it is another than before */
  note(fingerprint: string, text: string): boolean {
    const isNews = text !== this.#said;
    const isSame = fingerprint === this.#fingerprint && !isNews;
    this.#pauseMs = isSame ? Math.min(2 * this.#pauseMs, longestPauseMs) : firstPauseMs;
    this.#restUntil = Date.now() + this.#pauseMs;
    [this.#fingerprint, this.#said] = [fingerprint, text];
    return isNews;
  }

  /** One has come to something. */
  forget(): void {
    this.#fingerprint = undefined;
    this.#said = "";
  }
}
