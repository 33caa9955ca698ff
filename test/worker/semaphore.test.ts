import assert from "node:assert/strict";
import { Semaphore } from "../../provider/dist/async/semaphore.js";

describe("a semaphore", () => {
  it("removes an aborted job from its queue, and runs the others in order", async () => {
    const semaphore = new Semaphore(() => 1);
    let release: () => void = () => undefined;
    const first = semaphore.run(() => new Promise<void>((resolve) => (release = resolve)));
    const abort = new AbortController();
    const ran: string[] = [];
    const job = (name: string) => () => Promise.resolve(void ran.push(name));
    const second = semaphore.run(job("second"), abort.signal);
    const third = semaphore.run(job("third"));
    abort.abort(new Error("aborted"));
    await assert.rejects(second, /aborted/);
    await assert.rejects(semaphore.run(job("fourth"), abort.signal), /aborted/);
    release();
    await Promise.all([first, third]);
    await semaphore.run(job("fifth"));
    assert.deepEqual(ran, ["third", "fifth"]);
  });
});
