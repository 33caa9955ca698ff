import assert from "node:assert/strict";
import type { SchemaDrift } from "../../provider/src/worker/schema-diff/schema-drift";
import type { Followers } from "../../provider/src/worker/followers/followers";
import type { StreamRecord } from "../../provider/src/worker/followers/stream-record";
import { ManualDdlGate } from "../../provider/src/worker/schema-sync/manual-ddl-gate";
import type { NewObjects } from "../../provider/src/worker/schema-sync/new-objects";
import type { TableResync } from "../../provider/src/worker/schema-sync/table-resync";

describe("a pause for a statement that the user has to run", () => {
  it("names what to do if the target refuses a USING expression", async () => {
    const record = { database: "crm", targetName: "crm" } as unknown as StreamRecord;
    const followers = {
      drain: () => Promise.resolve(),
      current: { resume: () => undefined },
    } as unknown as Followers;
    const gate = new ManualDdlGate(record, followers, {} as unknown as TableResync, new AbortController().signal);
    const sql = `ALTER TABLE "public"."t" ALTER COLUMN "v" TYPE integer USING "v"::integer`;
    const change = { sql, tables: ['"public"."t"'], runBy: "operator", rule: {} };
    const drift = { pausing: [change] } as unknown as SchemaDrift;
    const readAgain = () => Promise.resolve(drift);
    const refused = gate.untilResolved({} as unknown as NewObjects, drift, {
      ...{ side: "source", stuckAt: undefined, readAgain, patience: "once" },
    });
    await assert.rejects(
      refused,
      /on the target, in crm \(if a USING expression is refused, any other will do.*ALTER TABLE/,
    );
  });
});
