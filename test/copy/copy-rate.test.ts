import assert from "node:assert/strict";
import fc from "fast-check";
import { CopyRate } from "../../provider/src/copy/copy-rate";
import { ManualClock } from "./manual-clock";

const chunkBytes = 65_536;
/** What idle copies may read at once, as a part of a second. */
const burstSeconds = 0.1;

/** A copy that always has a next chunk. */
class EagerCopy {
  read = 0;

  constructor(
    readonly rate: CopyRate,
    readonly chunk: number,
  ) {}

  /** Reads until the rate pauses it. */
  readonly run = (): void => {
    do this.read += this.chunk;
    while (!this.rate.count(this.chunk, this.run));
  };
}

const total = (copies: readonly EagerCopy[]): number => copies.reduce((sum, { read }) => sum + read, 0);

describe("the rate of a copy", () => {
  const cases = fc.record({
    rates: fc.array(fc.integer({ min: chunkBytes, max: 100_000_000 }), { minLength: 1, maxLength: 4 }),
    chunks: fc.array(fc.integer({ min: 1000, max: chunkBytes }), { minLength: 1, maxLength: 8 }),
    seconds: fc.integer({ min: 1, max: 20 }),
    processes: fc.integer({ min: 1, max: 4 }),
  });

  it("is at most the limit, whatever changes, plus one burst and one chunk of each copy", () => {
    fc.assert(
      fc.property(cases, ({ rates, chunks, seconds, processes }) => {
        const clock = new ManualClock();
        let limit = rates[0]!;
        const rate = new CopyRate(() => limit, clock);
        rate.processes = processes;
        const copies = chunks.map((chunk) => new EagerCopy(rate, chunk));
        for (const copy of copies) copy.run();
        let allowed = 0;
        for (limit of rates) {
          allowed += (limit / processes) * (seconds + 0.5);
          clock.advance(seconds * 1000);
        }
        const overshoot = (Math.max(...rates) / processes) * burstSeconds + copies.length * chunkBytes;
        assert(total(copies) <= allowed + overshoot);
      }),
    );
  });

  it("is used completely while any copy has rows to read", () => {
    fc.assert(
      fc.property(cases, ({ rates, chunks, seconds, processes }) => {
        const clock = new ManualClock();
        const rate = new CopyRate(() => rates[0], clock);
        rate.processes = processes;
        const copies = chunks.map((chunk) => new EagerCopy(rate, chunk));
        for (const copy of copies) copy.run();
        clock.advance(seconds * 1000);
        assert(total(copies) >= (rates[0]! / processes) * seconds * 0.9);
      }),
    );
  });

  it("is the same for all copies that read chunks of the same size", () => {
    const clock = new ManualClock();
    const rate = new CopyRate(() => 1_000_000, clock);
    const copies = Array.from({ length: 5 }, () => new EagerCopy(rate, chunkBytes));
    for (const copy of copies) copy.run();
    clock.advance(60_000);
    const reads = copies.map(({ read }) => read);
    assert(Math.max(...reads) - Math.min(...reads) <= 2 * chunkBytes, reads.join());
  });

  it("follows a changed limit within half a second, also if the former one would wait for hours", () => {
    const clock = new ManualClock();
    let limit = 1;
    const rate = new CopyRate(() => limit, clock);
    const copy = new EagerCopy(rate, chunkBytes);
    copy.run();
    clock.advance(10_000);
    assert(copy.read === chunkBytes);
    limit = 1_000_000;
    const before = copy.read;
    clock.advance(1500);
    assert(copy.read - before > 900_000, String(copy.read));
  });

  it("delays nothing once the limit is removed", () => {
    const clock = new ManualClock();
    let limit: number | undefined = 1;
    const rate = new CopyRate(() => limit, clock);
    let isAllowed = false;
    assert(rate.count(chunkBytes, () => (isAllowed = true)));
    limit = undefined;
    assert(!rate.count(chunkBytes, () => undefined));
    clock.advance(500);
    assert(isAllowed);
  });

  it("does not let a copy save what it did not use", () => {
    const clock = new ManualClock();
    const rate = new CopyRate(() => 1_000_000, clock);
    clock.advance(3_600_000);
    const copy = new EagerCopy(rate, 1000);
    copy.run();
    assert.equal(copy.read, 101_000);
  });

  it("delays the next copy if the last one ended before its bytes were allowed", async () => {
    const clock = new ManualClock();
    const rate = new CopyRate(() => 1_000_000, clock);
    rate.count(10_000_000, () => undefined);
    let hasBegun = false;
    const begun = rate.pace(0).then(() => (hasBegun = true));
    clock.advance(9000);
    await Promise.resolve();
    assert.equal(hasBegun, false);
    clock.advance(1000);
    await begun;
  });

  it("does not delay the end of a copy that is canceled", async () => {
    const rate = new CopyRate(() => 1, new ManualClock());
    const abort = new AbortController();
    const waiting = rate.pace(1_000_000, abort.signal);
    abort.abort();
    await waiting;
    await rate.pace(1_000_000, abort.signal);
  });
});
