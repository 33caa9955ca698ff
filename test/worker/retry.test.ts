import assert from "node:assert/strict";
import { UnreachableError } from "../../provider/src/errors";
import { retry } from "../../provider/src/worker/context/retry";
import { TestClock } from "../support/test-clock";

describe("retry", () => {
  const seconds = 600;
  const clock = new TestClock();
  beforeEach(() => clock.start());
  afterEach(() => clock.stop());

  /** Loses the connection after each of these durations, then succeeds. Returns the number of losses. */
  async function losses(hours: readonly number[], failsAfterGoodRun = false): Promise<number> {
    const left = [...hours];
    await retry({ seconds, failsAfterGoodRun }, () => {
      const lost = left.shift();
      if (lost === undefined) return Promise.resolve();
      clock.skip(lost * 3_600_000);
      return Promise.reject(new UnreachableError("lost"));
    });
    return hours.length - left.length;
  }

  it("starts a new period after a run that lasted for hours", async () => {
    assert.equal(await losses([1, 0.01, 19, 0.01]), 4);
  });

  it("stops if the server stays unreachable", async () => {
    await assert.rejects(losses([1, 0.1, 0.1]), UnreachableError);
  });

  it("does not repeat a long run that would start from the beginning", async () => {
    assert.equal(await losses([0.01, 0.01], true), 2);
    await assert.rejects(losses([0.01, 1], true), UnreachableError);
  });

  it("adds a remedy to the server's error when the retries are exhausted", async () => {
    const terminated = Object.assign(new Error("terminating connection"), { code: "57P01" });
    await assert.rejects(
      retry({ seconds: 0 }, () => Promise.reject(terminated)),
      (error: Error) =>
        error instanceof UnreachableError && error.cause === terminated && /pulumi up/.test(String(error)),
    );
  });
});
