import assert from "node:assert/strict";
import type { Client } from "pg";
import type { FollowStatus } from "../../../provider/src/cdc/follow-options";
import { SourceClock } from "../../../provider/src/cdc/source/lag";
import type { Work } from "../../../provider/src/worker/context/work";
import { StreamReports } from "../../../provider/src/worker/streaming/stream-reports";

describe("reports of a stream", () => {
  it("record the changes of a table once, although several reports waited", async () => {
    const recorded: unknown[] = [];
    const journal = {
      follow: () => Promise.resolve(),
      tableChanges: (_database: string, tables: readonly unknown[]) => Promise.resolve(void recorded.push(...tables)),
    };
    const reports = new StreamReports({ journal } as unknown as Work, "crm");
    const changes = { schema: "public", table: "t", inserts: 1, updates: 0, deletes: 0, truncates: 0 };
    const status = { tables: new Map([["t", changes]]) } as unknown as FollowStatus;
    for (let report = 1; report <= 3; report++) reports.onProgress(status);
    await reports.end();
    assert.deepEqual(recorded, [changes]);
  });

  it("wait one at a time while the records are unreachable, and the latest one is recorded", async () => {
    const recorded: unknown[] = [];
    let reach: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const journal = {
      follow: (_database: string, { inserts }: { inserts: number }) => reached.then(() => void recorded.push(inserts)),
      tableChanges: () => Promise.resolve(),
    };
    const reports = new StreamReports({ journal } as unknown as Work, "crm");
    const report = (inserts: number): void =>
      reports.onProgress({ inserts, tables: new Map() } as unknown as FollowStatus);
    report(0);
    // The first one is under way.
    await Promise.resolve();
    for (let inserts = 1; inserts <= 100; inserts++) report(inserts);
    reach();
    await reports.end();
    assert.deepEqual(recorded, [0, 100]);
  });

  it("have no lag while it is not measured, as before and after a connection", async () => {
    const journal = { follow: () => Promise.resolve(), tableChanges: () => Promise.resolve() };
    const reports = new StreamReports({ journal } as unknown as Work, "crm");
    const lags = [false, true, false].map((isLagMeasured) => {
      reports.onProgress({ latencySeconds: 0, isLagMeasured, tables: new Map() } as unknown as FollowStatus);
      return reports.lagSeconds;
    });
    await reports.end();
    assert.deepEqual(lags, [undefined, 0, undefined]);
  });

  it("measure the lag once the stream has reached the end of the WAL that it found at its start", async () => {
    const ends = ["0/100", "0/200"];
    const query = () => Promise.resolve({ rows: [{ lsn: ends.shift(), now: Date.now() }] });
    const clock = new SourceClock({ query } as unknown as Client, 160000);
    assert.equal(clock.isMeasuredAt(0x300n), false);
    await clock.ask();
    await clock.ask();
    assert.deepEqual([clock.isMeasuredAt(0xffn), clock.isMeasuredAt(0x100n)], [false, true]);
  });
});
