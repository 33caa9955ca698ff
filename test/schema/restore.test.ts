import assert from "node:assert/strict";
import type { Client } from "pg";
import { UnreachableError } from "../../provider/src/errors";
import type { Entry } from "../../provider/src/schema/sql/toc-entries";
import type { RestoreContext } from "../../provider/src/schema/restore/restore-context";
import { restoreEntries } from "../../provider/src/schema/restore/restore";

describe("a restore", () => {
  it("ends with its signal's reason: a lost snapshot is not reported as canceled", async () => {
    const reason = new UnreachableError("the snapshot is gone");
    const context = { signal: AbortSignal.abort(reason) } as Partial<RestoreContext> as RestoreContext;
    const entries = [{ type: "TABLE", name: "t" } as Entry];
    await assert.rejects(restoreEntries({} as unknown as Client, entries, context), reason);
  });
});
