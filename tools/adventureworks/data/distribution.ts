import { Random, seedOf } from "./random";

/**
 * The n-th pair of a left (0 to left - 1) and a right (0 to right - 1) number, distributed evenly over both sides. Pairs
 * are distinct if n < left * right.
 */
export function pair(n: number, left: number, right: number): [number, number] {
  return [n % left, ((n % left) + Math.floor(n / left)) % right];
}

/** Distributes `total` parts unevenly to `owners`. The parts of an owner are consecutive. */
export class Shares {
  readonly #seed: number;
  readonly #jitter: number;

  constructor(
    name: string,
    readonly total: number,
    readonly owners: number,
  ) {
    this.#seed = seedOf(name);
    this.#jitter = Math.max(0, Math.floor(total / owners) - 1);
  }

  /** The first part of an owner. The parts end before the first part of the next owner. */
  start(owner: number): number {
    const even = Math.floor((owner * this.total) / this.owners);
    if (owner === 0 || owner >= this.owners) return even;
    return even + new Random(this.#seed, owner).between(0, this.#jitter);
  }

  ownerOf(part: number): number {
    let owner = Math.min(this.owners - 1, Math.floor((part * this.owners) / this.total));
    while (this.start(owner) > part) owner--;
    while (this.start(owner + 1) <= part) owner++;
    return owner;
  }
}
