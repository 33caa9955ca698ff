import assert from "node:assert/strict";
import { startAzureLikeServer } from "./azure-like";
import { runningServers } from "./embedded-server";

describe("a server like Azure's", () => {
  it("is stopped if its roles cannot be created, so that the process of the tests can end", async () => {
    const before = runningServers().length;
    // The server starts, but refuses CREATE ROLE.
    const parameters = { default_transaction_read_only: "on" };
    await assert.rejects(startAzureLikeServer({ major: 17, parameters }), /cannot execute CREATE ROLE/);
    assert.equal(runningServers().length, before);
  });
});
