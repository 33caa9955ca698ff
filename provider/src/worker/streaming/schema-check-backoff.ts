const firstPauseMs = 3000;
const longestPauseMs = 30_000;

/** Backoff for failed comparisons of the schema. A failure is reported once, and retried less often while nothing changes. */
export class SchemaCheckBackoff {
  #fingerprint: string | undefined;
  #reported = "";
  #pauseMs = 0;
  #restUntil = 0;

  /** Whether the comparison of a schema with this fingerprint may wait. */
  shouldSkip(fingerprint: string): boolean {
    return fingerprint === this.#fingerprint && Date.now() < this.#restUntil;
  }

  /** @returns whether to report the text, because it differs from the last one */
  note(fingerprint: string, text: string): boolean {
    const isNew = text !== this.#reported;
    const isSame = fingerprint === this.#fingerprint && !isNew;
    this.#pauseMs = isSame ? Math.min(2 * this.#pauseMs, longestPauseMs) : firstPauseMs;
    this.#restUntil = Date.now() + this.#pauseMs;
    [this.#fingerprint, this.#reported] = [fingerprint, text];
    return isNew;
  }

  /** A comparison succeeded. */
  forget(): void {
    this.#fingerprint = undefined;
    this.#reported = "";
  }
}
