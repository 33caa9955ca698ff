/** Bytes per second at which a copy starts, until the lag is known. */
const initialRate = 8 * 1024 ** 2;
/** A copy never stops completely: its snapshot keeps the source from vacuuming. */
const minRate = 64 * 1024;
const growth = 1.5;

/** What was measured since the former step. */
interface LagSample {
  /** The lag of the replica that is farthest behind. */
  readonly lagSeconds: number;
  readonly limitSeconds: number;
  /** What the copy has read. */
  readonly bytesPerSecond: number;
}

/**
 * The rate of a copy that must not make replicas fall behind. Above the limit each step halves the rate. Below half of the limit
 * each step raises it, up to twice of what the copy reads. In between it stays.
 *
 * @example backOff.step({ lagSeconds: 40, limitSeconds: 30, bytesPerSecond: 20e6 }) === 10e6
 */
export class LagBackOff {
  #rate = initialRate;

  get bytesPerSecond(): number {
    return this.#rate;
  }

  step({ lagSeconds, limitSeconds, bytesPerSecond }: LagSample): number {
    if (lagSeconds > limitSeconds) this.#rate = Math.max(minRate, Math.min(this.#rate, bytesPerSecond) / 2);
    else if (lagSeconds <= limitSeconds / 2)
      this.#rate = Math.min(this.#rate * growth, Math.max(initialRate, bytesPerSecond * 2));
    return this.#rate;
  }
}
