import assert from "node:assert/strict";
import { Semaphore } from "../../provider/dist/async/semaphore.js";

describe("job slots", () => {
  it("let a job leave the queue that is not wanted any more, and keep the others' turns", async () => {
    const slots = new Semaphore(() => 1);
    let release: () => void = () => undefined;
    const first = slots.run(() => new Promise<void>((resolve) => (release = resolve)));
    const abort = new AbortController();
    const ran: string[] = [];
    const job = (name: string) => () => Promise.resolve(void ran.push(name));
    const second = slots.run(job("second"), abort.signal);
    const third = slots.run(job("third"));
    abort.abort(new Error("not wanted"));
    await assert.rejects(second, /not wanted/);
    await assert.rejects(slots.run(job("fourth"), abort.signal), /not wanted/);
    release();
    await Promise.all([first, third]);
    await slots.run(job("fifth"));
    assert.deepEqual(ran, ["third", "fifth"]);
  });
});
