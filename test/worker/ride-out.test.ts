import assert from "node:assert/strict";
import { UnreachableError } from "../../provider/src/errors";
import { retry } from "../../provider/src/worker/context/retry";
import { TestClock } from "../support/test-clock";

describe("riding out a lost connection", () => {
  const seconds = 600;
  const clock = new TestClock();
  beforeEach(() => clock.start());
  afterEach(() => clock.stop());

  /** A run that is lost each time it has gone on for so long, until it ends well. */
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

  it("has all of its patience for each loss of a run that goes on well for hours", async () => {
    assert.equal(await losses([1, 0.01, 19, 0.01]), 4);
  });

  it("comes to its end where the server stays away", async () => {
    await assert.rejects(losses([1, 0.1, 0.1]), UnreachableError);
  });

  it("comes to its end by a run that would begin from the start, where that has gone on for hours", async () => {
    assert.equal(await losses([0.01, 0.01], true), 2);
    await assert.rejects(losses([0.01, 1], true), UnreachableError);
  });

  it("does not hand on the bare words of a server when its patience is over", async () => {
    const terminated = Object.assign(new Error("terminating connection"), { code: "57P01" });
    await assert.rejects(
      retry({ seconds: 0 }, () => Promise.reject(terminated)),
      (error: Error) =>
        error instanceof UnreachableError && error.cause === terminated && /pulumi up/.test(String(error)),
    );
  });
});
