import type { Lsn } from "../../postgres/lsn.js";
import { type Change, type Transaction, commitsThrough } from "../model/change.js";
import type { ValueForm } from "../model/value-form.js";
import type { ApplySessionProgress } from "../target/apply-session-progress.js";
import { Divider } from "./divider.js";

/**
 * Omits what apply sessions of a former connection have applied after the position of the progress row. Only an unfinished
 * batch has such changes, and the recorded division is that of this batch.
 */
export class RemainingChanges {
  /** No session has applied changes after this LSN. */
  readonly latestLsn: Lsn;
  readonly #divider: Divider;
  readonly #appliedThroughLsns: readonly Lsn[];

  constructor({ division, appliedThroughLsns }: ApplySessionProgress, form: ValueForm) {
    this.#divider = new Divider(division, form);
    this.#appliedThroughLsns = appliedThroughLsns;
    this.latestLsn = appliedThroughLsns.reduce((latest, lsn) => (lsn > latest ? lsn : latest), 0n);
  }

  /** Whether to apply a change. */
  includes(change: Change, transaction: Transaction): boolean {
    const { commitLsn } = transaction;
    if (commitLsn === undefined || !commitsThrough(commitLsn, this.latestLsn)) return true;
    const session = this.#divider.divide(change, transaction);
    return session === undefined || !commitsThrough(commitLsn, this.#appliedThroughLsns[session]!);
  }
}
