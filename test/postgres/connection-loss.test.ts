import assert from "node:assert/strict";
import { isConnectionLoss, isStarting } from "../../provider/dist/postgres/connection-loss.js";
import { Unreachable } from "../../provider/dist/errors.js";

const withCode = (code: string): Error => Object.assign(new Error("said by the server"), { code });

describe("the loss of a connection", () => {
  it("is told from what would fail again", () => {
    for (const code of ["08006", "57P01", "57P03", "ECONNRESET"]) assert(isConnectionLoss(withCode(code)), code);
    for (const code of ["08P01", "42P01", "23505"]) assert(!isConnectionLoss(withCode(code)), code);
  });

  it("is told from a server that will be there in a moment", () => {
    assert(isStarting(new Unreachable("starting up", { cause: withCode("57P03") })));
    assert(!isStarting(new Unreachable("nothing answers", { cause: withCode("ECONNREFUSED") })));
  });
});
