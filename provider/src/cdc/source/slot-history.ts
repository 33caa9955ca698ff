import { formatLsn, type Lsn } from "../../postgres/lsn.js";
import type { StreamMessage } from "../model/change.js";
import type { Progress } from "../target/progress.js";
import { changesLost, type StreamSlot } from "./slot-identity.js";

/**
 * Whether the source has the past that the target has come from. One that was put back to an earlier state, without a new
 * timeline, and written since beyond where the target is, has the same identity and the same slot; what it has committed
 * up to there would be passed over as applied.
 *
 * So the slot is read from where it was confirmed: unless that is behind it, the last transaction that the target has comes
 * once more, and none between it and where the target is. Nothing may be confirmed before this is known: the next look
 * would take it for known.
 */
export class SlotHistory {
  readonly #progress: Pick<Progress, "lastCommitEndLsn" | "commitTime" | "appliedThroughLsn">;
  readonly #slot: StreamSlot;
  #beginsAt: Lsn | undefined;
  #hasEnded = false;
  #hasLast = false;
  #stranger: Lsn | undefined;
  #isKnown = false;

  constructor(progress: Pick<Progress, "lastCommitEndLsn" | "commitTime" | "appliedThroughLsn">, slot: StreamSlot) {
    this.#progress = progress;
    this.#slot = slot;
  }

  get isKnown(): boolean {
    return this.#isKnown;
  }

  /**
   * @param lsn where the slot was confirmed, once nobody else can move it on; undefined where the source does not tell
   * @throws RefusedError when the past is another one
   */
  begins(lsn: Lsn | undefined): void {
    this.#beginsAt ??= lsn ?? this.#progress.appliedThroughLsn;
    this.#judge();
  }

  /** A message of a transaction that the target is to have. */
  passes(message: StreamMessage): void {
    if (message.kind !== "commit") return;
    const { lastCommitEndLsn, commitTime } = this.#progress;
    const isOfItsTime = commitTime === undefined || Math.abs(commitTime.getTime() - message.commitTimeMs) < 2;
    if (message.endLsn === lastCommitEndLsn && isOfItsTime) this.#hasLast = true;
    else if (message.endLsn >= lastCommitEndLsn) this.#stranger ??= message.endLsn;
  }

  /**
   * All that committed up to where the target is has been sent.
   *
   * @throws RefusedError when the past is another one
   */
  ends(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#judge();
  }

  #judge(): void {
    const { lastCommitEndLsn, appliedThroughLsn } = this.#progress;
    const beginsAt = this.#beginsAt;
    if (beginsAt === undefined || (!this.#hasEnded && beginsAt < appliedThroughLsn)) return;
    const lacksLast = beginsAt < lastCommitEndLsn && !this.#hasLast;
    this.#isKnown = !lacksLast && this.#stranger === undefined;
    if (this.#isKnown) return;
    const { publisher, subscriber } = this.#slot.parts;
    const what = lacksLast
      ? `no transaction of the ${publisher} ends at ${formatLsn(lastCommitEndLsn)}, as the last one did that the ${subscriber} has`
      : `a transaction of the ${publisher} ends at ${formatLsn(this.#stranger!)}, where there was none for the ${subscriber}`;
    throw changesLost(
      this.#slot,
      `${what}; the ${publisher} was put back to an earlier state and has been written since`,
    );
  }
}
