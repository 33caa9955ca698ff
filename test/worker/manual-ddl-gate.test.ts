import assert from "node:assert/strict";
import { ShapeDiffers } from "../../provider/src/cdc/binding/table-mapping";
import type { Relation } from "../../provider/src/cdc/model/change";
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
      ...{ side: "source", stuckAt: undefined, add: () => Promise.resolve(false), readAgain, patience: "once" },
    });
    await assert.rejects(
      refused,
      /on the target, in crm \(if a USING expression is refused, any other will do.*ALTER TABLE/,
    );
  });

  it("compares again if the stream needs a change that was made after the comparison", async () => {
    const record = {
      ...{ database: "crm", targetName: "crm", skipped: [] },
      report: () => Promise.resolve(),
    } as unknown as StreamRecord;
    const altered = new ShapeDiffers('"public"."altered"', {} as unknown as Relation, "the target lacks a column");
    const followers = {
      drain: () => Promise.reject(altered),
      restart: () => Promise.resolve(),
      current: { resume: () => undefined },
    } as unknown as Followers;
    const joins = { skipReplacedDefinition: () => Promise.resolve(false) } as unknown as TableResync;
    const gate = new ManualDdlGate(record, followers, joins, new AbortController().signal);
    const renames = {
      sql: `ALTER TABLE "public"."t" RENAME TO "u"`,
      tables: ['"public"."u"'],
      runBy: "worker",
      rule: {},
    };
    const before = { pausing: [renames], additions: [], newTables: [] } as unknown as SchemaDrift;
    const later = { ...before, additions: [`ALTER TABLE "public"."altered" ADD COLUMN "v" integer`] };
    const left = await gate.untilResolved({} as unknown as NewObjects, before, {
      ...{ side: "source", stuckAt: undefined, patience: "once" },
      add: () => Promise.resolve(false),
      readAgain: () => Promise.resolve(later),
    });
    assert.equal(left, later);
  });
});
