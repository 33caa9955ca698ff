import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { ReadAhead } from "../../../provider/src/cdc/reader/read-ahead";
import { until } from "../../support/until";

const limitBytes = 1000;

/** A subscriber that pauses after some messages, and a publisher that stops at the limit. */
class Reading {
  readonly got: string[] = [];
  readonly ahead: ReadAhead;
  isFull = false;
  failure: unknown;

  constructor(pausesAfter: (message: string) => boolean = () => false) {
    this.ahead = new ReadAhead({
      limitBytes,
      onMessage: (bytes, start, end) => {
        const message = bytes.toString("latin1", start, end);
        if (message === "bad") throw new Error("bad message");
        this.got.push(message);
        if (pausesAfter(message)) this.ahead.pause();
      },
      onFull: () => {
        assert.equal(this.isFull, false);
        this.isFull = true;
      },
      onRoom: () => {
        assert.equal(this.isFull, true);
        this.isFull = false;
      },
      onFailed: (error) => (this.failure = error),
    });
  }

  send(message: string): void {
    const bytes = Buffer.from(`<${message}>`, "latin1");
    this.ahead.push(bytes, 1, bytes.length - 1);
  }

  async all(count: number): Promise<string[]> {
    await until("all messages are delivered", () => this.got.length >= count);
    return this.got;
  }
}

describe("ReadAhead", () => {
  it("delivers messages and steps in order, whenever the subscriber pauses", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            kind: fc.constantFrom("message", "step", "pause", "resume", "turn"),
            length: fc.nat(90_000),
            pauses: fc.boolean(),
          }),
        ),
        async (events) => {
          const pausing = new Set<string>();
          const reading = new Reading((message) => pausing.has(message));
          const sent: string[] = [];
          for (const [place, { kind, length, pauses }] of events.entries()) {
            const name = String(place);
            if (kind === "message") {
              const message = name.padEnd(length % 3 === 0 ? length : length % 300, ".");
              if (pauses) pausing.add(message);
              reading.send(message);
              sent.push(message);
            } else if (kind === "step") {
              reading.ahead.after(() => reading.got.push(name));
              sent.push(name);
            } else if (kind === "pause") reading.ahead.pause();
            else if (kind === "resume") reading.ahead.resume();
            else await turn();
          }
          while (reading.got.length < sent.length) {
            reading.ahead.resume();
            await turn();
          }
          reading.ahead.resume();
          assert.deepEqual(reading.got, sent);
          assert.equal(reading.isFull, false);
        },
      ),
    ));

  it("stops the publisher at the limit, and resumes it at half of the limit", async () => {
    const reading = new Reading();
    reading.ahead.pause();
    let sent = 0;
    for (; !reading.isFull; sent++) reading.send("x".repeat(36));
    assert.equal(sent, Math.floor((limitBytes - 36) / (36 + 32)) + 1);
    reading.ahead.resume();
    assert.equal((await reading.all(sent)).length, sent);
    assert.equal(reading.isFull, false);
  });

  it("stops the publisher after a long message until the subscriber has finished with it", () => {
    const reading = new Reading(() => true);
    reading.send("x".repeat(limitBytes + 1));
    assert.equal(reading.isFull, true);
    reading.ahead.resume();
    assert.equal(reading.isFull, false);
  });

  it("reports a message that fails, and delivers no message after it or after close", async () => {
    const reading = new Reading();
    reading.ahead.pause();
    for (const message of ["good", "bad", "after"]) reading.send(message);
    reading.ahead.resume();
    await until("the failure is reported", () => reading.failure !== undefined);
    assert.match(String(reading.failure), /bad message/);
    reading.ahead.close();
    await turn();
    assert.deepEqual(reading.got, ["good"]);
  });
});
