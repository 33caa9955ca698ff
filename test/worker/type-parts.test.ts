import assert from "node:assert/strict";
import type { Client } from "pg";
import { omitParts } from "../../provider/src/worker/schema-diff/type-parts";

describe("type parts", () => {
  it("do not take a dropped label named constructor for a changed one", async () => {
    const before = { "16400": { constructor: "1/2", open: "1/3" } };
    assert.deepEqual(await omitParts({} as unknown as Client, { "16400": { open: "1/3" } }, before), []);
  });
});
