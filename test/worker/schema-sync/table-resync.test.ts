import assert from "node:assert/strict";
import type { Client } from "pg";
import type { Followers } from "../../../provider/src/worker/followers/followers";
import type { StreamRecord } from "../../../provider/src/worker/followers/stream-record";
import { TableResync } from "../../../provider/src/worker/schema-sync/table-resync";

describe("TableResync", () => {
  it("requirePublications records no baseline: a concurrent copy of tables has a newer one", async () => {
    const keep = (): never => assert.fail("the record was changed");
    const record = { work: { spec: {} }, database: "crm", following: {}, keep } as unknown as StreamRecord;
    const query = (): never => assert.fail("the baseline was read");
    const resync = new TableResync(record, undefined as unknown as Followers, new AbortController().signal);
    await resync.requirePublications({ query } as unknown as Client);
  });
});
