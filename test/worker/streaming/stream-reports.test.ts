import assert from "node:assert/strict";
import type { FollowStatus } from "../../../provider/src/cdc/follow-options";
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
});
