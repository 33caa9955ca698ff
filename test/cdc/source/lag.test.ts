import assert from "node:assert/strict";
import type { Client } from "pg";
import { SourceClock } from "../../../provider/src/cdc/source/lag";
import { TestClock } from "../../support/test-clock";

describe("SourceClock.secondsBehind", () => {
  const testClock = new TestClock();
  before(() => testClock.start());
  after(() => testClock.stop());

  it("counts from the first sample of WAL that the stream has not reached, even without a known commit", async () => {
    const wal = { lsn: "0/100", now: Date.now() };
    const source = { query: () => Promise.resolve({ rows: [wal] }) } as unknown as Client;
    const clock = new SourceClock(source, 170000);
    await clock.ask();
    assert.equal(clock.secondsBehind(0x50n), 0, "the stream may reach it soon");
    testClock.skip(1000);
    wal.lsn = "0/200";
    await clock.ask();
    testClock.skip(1100);
    assert(clock.secondsBehind(0x50n) > 2);
    assert.equal(clock.secondsBehind(0x100n), 0, "the next WAL is newer");
    testClock.skip(1000);
    assert(clock.secondsBehind(0x100n) > 2);
    assert.equal(clock.secondsBehind(0x200n), 0);
  });
});
