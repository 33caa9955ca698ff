import { EngineFault, HeldUp } from "../errors.js";
import { formatLsn, type Lsn } from "../postgres/lsn.js";
import type { Parts } from "./parts.js";

/**
 * Where the applier has to stop, and who waits for it to get there. Outlives connections: a gate that is closed stays so
 * through a reconnect.
 */
export class Gate {
  #bound: Lsn | undefined;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;

  /** Transactions that commit beyond it must not be begun; undefined when the gate is open, 0 when none may be. */
  get bound(): Lsn | undefined {
    return this.#bound;
  }

  /** The position that somebody waits to see reached. */
  get awaited(): Lsn | undefined {
    return this.#waiting && this.#bound !== 0n ? this.#bound : undefined;
  }

  /** Closes the gate at once; resolves when the applier rests between two transactions. */
  hold(): Promise<void> {
    return this.#closeAt(0n);
  }

  /** Closes the gate behind `lsn`; resolves when everything before it is applied. */
  closeBehind(lsn: Lsn): Promise<void> {
    return this.#closeAt(lsn);
  }

  /** Moves a gate that is held to `lsn`, for nobody who waits: what lies before it may pass. */
  letPass(lsn: Lsn): void {
    if (this.#waiting || this.#bound === undefined || this.#bound >= lsn) return;
    this.#bound = lsn;
  }

  open(): void {
    this.#supersede();
    this.#bound = undefined;
  }

  /**
   * The applier rests, with nothing left that the gate lets through.
   *
   * @param commitLsn the end of the last transaction applied
   */
  reached(commitLsn: Lsn): void {
    const waiting = this.#waiting;
    const bound = this.#bound;
    if (!waiting || bound === undefined) return;
    this.#waiting = undefined;
    if (bound === 0n || commitLsn <= bound) waiting.resolve();
    else
      waiting.reject(
        new EngineFault(
          `the target has applied a commit at ${formatLsn(commitLsn)} already, beyond ${formatLsn(bound)} where it should hold`,
          { remedy: "hold the follower before reading the position to drain to" },
        ),
      );
  }

  /** A lock on the receiving server holds the applier up: whoever waits is told, and the gate stays as it is. */
  heldUp(by: string, { receiver }: Parts): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(
      new HeldUp(`the stream of changes comes to no rest, since a batch needs a lock on the ${receiver}: ${by}`, {
        remedy: `let that session end its transaction, or end it: SELECT pg_terminate_backend(<pid>) on the ${receiver}; then try again`,
      }),
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
    this.#waiting?.reject(new EngineFault("the wait for a position was given up for another one"));
    this.#waiting = undefined;
  }
}
