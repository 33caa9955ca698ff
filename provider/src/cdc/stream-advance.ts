import type { Lsn } from "../postgres/lsn.js";

/** How far a connection has come: a position, and the applied changes of the transaction after it. */
interface Advance {
  readonly lsn: Lsn;
  readonly changes: number;
}

/** Compares the progress of a follower's connections, so that a loss after progress counts as a new one. */
export class StreamAdvance {
  #furthest: Advance = { lsn: 0n, changes: 0 };
  #isFurther = false;
  #isProgress = false;

  /** Whether the last connection has come further than any before. */
  get isFurther(): boolean {
    return this.#isFurther;
  }

  /** Whether the last connection has come further than any before, or had nothing left to apply. */
  get isProgress(): boolean {
    return this.#isProgress;
  }

  /** Call it before a connection is opened. */
  begin(): void {
    this.#isFurther = this.#isProgress = false;
  }

  /**
   * Call it after a connection has ended. Changes within a transaction count as well, because a transaction may take longer
   * than a server may be unreachable.
   */
  end(reached: Advance, hadCaughtUp: boolean): void {
    const { lsn, changes } = this.#furthest;
    this.#isFurther = reached.lsn > lsn || (reached.lsn === lsn && reached.changes > changes);
    if (this.#isFurther) this.#furthest = reached;
    this.#isProgress = this.#isFurther || hadCaughtUp;
  }
}
