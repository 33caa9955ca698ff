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

  /** Returns the parts of a change that are not applied; undefined if that is the complete change. */
  of(change: Change, transaction: Transaction): readonly Change[] | undefined {
    const { commitLsn } = transaction;
    if (commitLsn === undefined || !commitsThrough(commitLsn, this.latestLsn)) return undefined;
    const isApplied = (session: number): boolean => commitsThrough(commitLsn, this.#appliedThroughLsns[session]!);
    const divided = this.#divider.divide(change, transaction);
    if (divided === undefined) return undefined;
    if (typeof divided === "number") return isApplied(divided) ? [] : undefined;
    const remaining = divided.filter(({ session }) => !isApplied(session));
    return remaining.length === divided.length ? undefined : remaining.map((part) => part.change);
  }
}
