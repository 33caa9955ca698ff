import type { BatchSegment } from "../batch/transaction-buffer.js";
import type { Change } from "../model/change.js";
import type { Divider } from "./divider.js";

/** The changes of a batch, divided among apply sessions. Each share has its changes in the source's order. */
export class Shares {
  /** By session. */
  readonly changes: readonly Change[][];
  /** Whether the last transaction could not be divided. */
  hasRefused = false;
  readonly #divider: Divider;
  /** The lengths of the shares before the transaction that is being divided. */
  readonly #before: number[];

  constructor(divider: Divider) {
    this.#divider = divider;
    this.changes = Array.from({ length: divider.division.sessions }, () => []);
    this.#before = this.changes.map(() => 0);
  }

  /** Divides a complete transaction. Returns false, and does nothing, if one of its changes cannot be divided. */
  add(segment: BatchSegment): boolean {
    this.hasRefused = !this.#divide(segment);
    return !this.hasRefused;
  }

  #divide({ transaction, first, changes, received, end }: BatchSegment): boolean {
    if (!first || !end || received) return false;
    for (const [session, { length }] of this.changes.entries()) this.#before[session] = length;
    for (const change of changes) {
      const divided = this.#divider.divide(change, transaction);
      if (divided === undefined) {
        for (const [session, length] of this.#before.entries()) this.changes[session]!.length = length;
        return false;
      }
      this.changes[divided]!.push(change);
    }
    return true;
  }
}
