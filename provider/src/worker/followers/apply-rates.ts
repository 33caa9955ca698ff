import type { FollowStatus } from "../../cdc/follow-options.js";

const windowMs = 10_000;

export interface FollowRates {
  readonly insertsPerSecond: number;
  readonly updatesPerSecond: number;
  readonly deletesPerSecond: number;
  /**
   * Time until nothing is left to apply, at the rates of both sides in the last ten seconds. Undefined while the backlog does
   * not shrink.
   */
  readonly secondsToCatchUp: number | undefined;
}

type Measured = Pick<FollowStatus, "inserts" | "updates" | "deletes" | "lagBytes">;

/** How fast a stream is applied, computed from its status over the last ten seconds. */
export class FollowRateMeter {
  #samples: (Measured & { readonly atMs: number })[] = [];

  measure(status: Measured, atMs: number): FollowRates {
    const { inserts, updates, deletes, lagBytes } = status;
    this.#samples = this.#samples.filter((sample) => sample.atMs >= atMs - windowMs);
    this.#samples.push({ inserts, updates, deletes, lagBytes, atMs });
    const first = this.#samples[0]!;
    const seconds = (atMs - first.atMs) / 1000;
    const rate = (pick: (sample: Measured) => number): number =>
      seconds > 0 ? Math.max(0, (pick(status) - pick(first)) / seconds) : 0;
    return {
      insertsPerSecond: rate((sample) => sample.inserts),
      updatesPerSecond: rate((sample) => sample.updates),
      deletesPerSecond: rate((sample) => sample.deletes),
      secondsToCatchUp: catchUp(first.lagBytes, lagBytes, seconds),
    };
  }
}

function catchUp(before: number | undefined, now: number | undefined, seconds: number): number | undefined {
  if (now === 0) return 0;
  if (before === undefined || now === undefined || seconds <= 0 || now >= before) return undefined;
  return (now * seconds) / (before - now);
}
