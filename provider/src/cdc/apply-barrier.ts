import { EngineError, LockNotAvailableError } from "../errors.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import { commitsThrough } from "./model/change.js";
import type { StreamRoles } from "./model/stream-roles.js";

/**
 * The LSN at which the applier must stop, and the caller that waits until it does. A closed barrier stays closed when the
 * stream reconnects.
 */
export class ApplyBarrier {
  #bound: Lsn | undefined;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;

  /** Transactions that commit after this LSN must not start; undefined if the barrier is open, 0 to start none. */
  get bound(): Lsn | undefined {
    return this.#bound;
  }

  /** The LSN that a caller waits for; undefined if no caller waits. */
  get awaited(): Lsn | undefined {
    return this.#waiting && this.#bound !== 0n ? this.#bound : undefined;
  }

  /** Closes the barrier immediately. Resolves when the applier has stopped between two transactions. */
  hold(): Promise<void> {
    return this.#closeAt(0n);
  }

  /** Closes the barrier after `lsn`. Resolves when every transaction that committed before `lsn` is applied. */
  closeAfter(lsn: Lsn): Promise<void> {
    return this.#closeAt(lsn);
  }

  /** Moves a closed barrier forward to `lsn`, so that earlier transactions can be applied. Ignored while a caller waits. */
  releaseUpTo(lsn: Lsn): void {
    if (this.#waiting || this.#bound === undefined || this.#bound >= lsn) return;
    this.#bound = lsn;
  }

  open(): void {
    this.#supersede();
    this.#bound = undefined;
  }

  /**
   * The applier has stopped and has applied every transaction that the barrier allows.
   *
   * @param lastCommitLsn start of the commit record of the last applied transaction
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

  /** A lock on the subscriber blocks the applier. Rejects the caller's wait; the barrier stays closed. */
  blocked(by: string, { subscriber }: StreamRoles): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(
      new LockNotAvailableError(
        `the stream of changes cannot stop, because a batch waits for a lock on the ${subscriber}: ${by}`,
        {
          remedy: `end that session's transaction, or terminate it with SELECT pg_terminate_backend(<pid>) on the ${subscriber}; then run the operation again`,
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
    this.#waiting?.reject(new EngineError("the wait for an LSN was replaced by another one"));
    this.#waiting = undefined;
  }
}
