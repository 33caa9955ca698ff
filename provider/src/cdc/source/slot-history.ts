import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import type { StreamMessage } from "../model/change.js";
import type { Progress } from "../target/progress.js";
import { changesLost, type StreamSlot } from "./slot-identity.js";

/**
 * Checks that the source still has the history that the target has applied. A source may have been restored to an earlier
 * state without a new timeline, and written to since. It has the same system identifier and the same slot. Its new commits up
 * to the target's position would be skipped as already applied.
 *
 * The slot is therefore read from its confirmed position. If that is not after the target's last transaction, that transaction
 * must be delivered again, and none between it and the target's position. Nothing may be confirmed before the check is
 * complete: the next check would start after the difference.
 */
export class SlotHistory {
  readonly #progress: Pick<Progress, "lastCommitEndLsn" | "commitTime" | "appliedThroughLsn">;
  readonly #slot: StreamSlot;
  #beginsAt: Lsn | undefined;
  #hasEnded = false;
  #hasLastCommit = false;
  /** End LSN of a commit that the target does not have. */
  #unexpectedCommit: Lsn | undefined;
  #isVerified = false;

  constructor(progress: Pick<Progress, "lastCommitEndLsn" | "commitTime" | "appliedThroughLsn">, slot: StreamSlot) {
    this.#progress = progress;
    this.#slot = slot;
  }

  /** Whether the check is complete and found no difference. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /**
   * @param lsn the slot's confirmed position, at a time when no other session can move it; undefined before 9.6
   * @throws RefusedError if the history differs
   */
  begin(lsn: Lsn | undefined): void {
    this.#beginsAt ??= lsn ?? this.#progress.appliedThroughLsn;
    this.#check();
  }

  /** Takes a message of a transaction that the target should already have. */
  add(message: StreamMessage): void {
    if (message.kind !== "commit") return;
    const { lastCommitEndLsn, commitTime } = this.#progress;
    const hasSameTime = commitTime === undefined || Math.abs(commitTime.getTime() - message.commitTimeMs) < 2;
    if (message.endLsn === lastCommitEndLsn && hasSameTime) this.#hasLastCommit = true;
    else if (message.endLsn >= lastCommitEndLsn) this.#unexpectedCommit ??= message.endLsn;
  }

  /**
   * Call it when the source has sent everything that committed up to the target's position.
   *
   * @throws RefusedError if the history differs
   */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#check();
  }

  #check(): void {
    const { lastCommitEndLsn, appliedThroughLsn } = this.#progress;
    const beginsAt = this.#beginsAt;
    if (beginsAt === undefined || (!this.#hasEnded && beginsAt < appliedThroughLsn)) return;
    const lacksLastCommit = beginsAt < lastCommitEndLsn && !this.#hasLastCommit;
    this.#isVerified = !lacksLastCommit && this.#unexpectedCommit === undefined;
    if (this.#isVerified) return;
    const { publisher, subscriber } = this.#slot.parts;
    const difference = lacksLastCommit
      ? `the last transaction on the ${subscriber} ends at ${formatLsn(lastCommitEndLsn)}, but the ${publisher} has no such transaction`
      : `a transaction of the ${publisher} ends at ${formatLsn(this.#unexpectedCommit!)}, which the ${subscriber} does not have`;
    throw changesLost(
      this.#slot,
      `${difference}. The ${publisher} was restored to an earlier state, and written to since`,
    );
  }
}
