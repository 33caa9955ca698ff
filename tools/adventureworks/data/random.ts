/**
 * A small pseudo-random generator (a counter and a 32-bit mixer) that starts from a name and an index. Each row has its own
 * generator, so any row can be computed alone and is the same on every machine.
 */
export class Random {
  #state: number;

  constructor(seed: number, index: number) {
    this.#state = mix(seed ^ mix(index));
  }

  /** 0 to 2^32 - 1 */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return mix(this.#state);
  }

  /** 0 to limit - 1 */
  below(limit: number): number {
    return Math.floor((this.word() / 0x1_0000_0000) * limit);
  }

  /** low to high, both included */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.word() < probability * 0x1_0000_0000;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  letter(alphabet: string): string {
    return alphabet.charAt(this.below(alphabet.length));
  }

  digits(length: number): string {
    return Array.from({ length }, () => this.below(10)).join("");
  }

  bytes(length: number): Buffer {
    const buffer = Buffer.alloc(Math.ceil(length / 4) * 4);
    for (let offset = 0; offset < length; offset += 4) buffer.writeUInt32LE(this.word(), offset);
    return buffer.subarray(0, length);
  }
}

/** A seed from a name, such as a table's. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** A version 4 UUID. It is different for every index below 2^32 of a seed, because the mixer is a bijection. */
export function uuidOf(seed: number, index: number): string {
  const words = [mix(seed ^ index)];
  for (let n = 1; n < 4; n++) words.push(mix(seed + Math.imul(index + n, 0x9e3779b9) + n));
  const hex = words.map((word) => word.toString(16).padStart(8, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
