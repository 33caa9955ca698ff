import { EngineError, LockNotAvailableError } from "../errors.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { commitsThrough } from "./model/change.js";
import type { StreamRoles } from "./model/stream-roles.js";

/**
 * Where the applier has to stop, and who waits for it to get there. Outlives connections: a barrier that is closed stays so
 * through a reconnect.
 */
export class ApplyBarrier {
  #bound: Lsn | undefined;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;

  /** Transactions that commit beyond it must not be begun; undefined when the barrier is open, 0 when none may be. */
  get bound(): Lsn | undefined {
    return this.#bound;
  }

  /** The position that somebody waits to see reached. */
  get awaited(): Lsn | undefined {
    return this.#waiting && this.#bound !== 0n ? this.#bound : undefined;
  }

  /** Closes the barrier at once; resolves when the applier rests between two transactions. */
  hold(): Promise<void> {
    return this.#closeAt(0n);
  }

  /** Closes the barrier behind `lsn`; resolves when everything before it is applied. */
  closeAfter(lsn: Lsn): Promise<void> {
    return this.#closeAt(lsn);
  }

  /** Moves a barrier that is held to `lsn`, for nobody who waits: what lies before it may pass. */
  releaseUpTo(lsn: Lsn): void {
    if (this.#waiting || this.#bound === undefined || this.#bound >= lsn) return;
    this.#bound = lsn;
  }

  open(): void {
    this.#supersede();
    this.#bound = undefined;
  }

  /**
   * The applier rests, with nothing left that the barrier lets through.
   *
   * @param lastCommitLsn where the commit record of the last applied transaction begins
   */
  reached(lastCommitLsn: Lsn): void {
    const waiting = this.#waiting;
    const bound = this.#bound;
    if (!waiting || bound === undefined) return;
    this.#waiting = undefined;
    if (bound === 0n || commitsThrough(lastCommitLsn, bound)) waiting.resolve();
    else
      waiting.reject(
        new EngineError(
          `the target has already applied the commit at ${formatLsn(lastCommitLsn)}, which is after ${formatLsn(bound)}, where it should stop`,
          {
            remedy:
              "run the same operation again; if it fails again, report this message: it is a defect of pg-migration",
          },
        ),
      );
  }

  /** A lock on the receiving server holds the applier up: whoever waits is told, and the barrier stays as it is. */
  heldUp(by: string, { subscriber }: StreamRoles): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(
      new LockNotAvailableError(
        `the stream of changes comes to no rest, since a batch needs a lock on the ${subscriber}: ${by}`,
        {
          remedy: `let that session end its transaction, or end it: SELECT pg_terminate_backend(<pid>) on the ${subscriber}; then try again`,
        },
      ),
    );
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #closeAt(bound: Lsn): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#supersede();
    this.#bound = bound;
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }));
  }

  #supersede(): void {
    this.#waiting?.reject(new EngineError("the wait for a position was given up for another one"));
    this.#waiting = undefined;
  }
}
