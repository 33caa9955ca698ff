import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { Notifier } from "../../provider/src/async/notifier";
import { delay } from "../../provider/src/async/delay";

describe("a notifier", () => {
  it("wakes waiters and ends pauses, once", async () => {
    const notifier = new Notifier();
    const [next, signal] = [notifier.next, notifier.nextSignal];
    const paused = delay(600_000, signal);
    notifier.notify();
    await Promise.all([next, paused]);
    assert(!notifier.nextSignal.aborted);
  });

  it("keeps no listeners of pauses that ended by themselves", async () => {
    const notifier = new Notifier();
    for (let round = 0; round < 20; round++) await delay(1, notifier.nextSignal);
    assert.equal(getEventListeners(notifier.nextSignal, "abort").length, 0);
  });
});
