import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { Bell } from "../../provider/src/bell";
import { pause } from "../../provider/src/async/delay";

describe("a bell", () => {
  it("wakes whoever waits or pauses, once", async () => {
    const bell = new Bell();
    const [next, signal] = [bell.next, bell.nextSignal];
    const paused = pause(600_000, signal);
    bell.ring();
    await Promise.all([next, paused]);
    assert(!bell.nextSignal.aborted);
  });

  it("keeps nothing of the pauses that it has not ended, however many", async () => {
    const bell = new Bell();
    for (let round = 0; round < 20; round++) await pause(1, bell.nextSignal);
    assert.equal(getEventListeners(bell.nextSignal, "abort").length, 0);
  });
});
