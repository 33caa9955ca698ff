import assert from "node:assert/strict";
import pg from "pg";
import { isConnectionLoss, isStarting } from "../../provider/dist/postgres/connection/connection-loss.js";
import { RefusedError, TimeoutError, UnreachableError } from "../../provider/dist/errors.js";

const withCode = (code: string): Error => Object.assign(new Error("said by the server"), { code });

describe("the loss of a connection", () => {
  it("is told from what would fail again", () => {
    for (const code of ["08006", "57P01", "57P03", "ECONNRESET"]) assert(isConnectionLoss(withCode(code)), code);
    for (const code of ["08P01", "42P01", "23505"]) assert(!isConnectionLoss(withCode(code)), code);
  });

  it("is not that of a foreign server, which this session survives", () => {
    const said = new pg.DatabaseError('could not connect to server "far"', 0, "error");
    assert(!isConnectionLoss(Object.assign(said, { code: "08001", severity: "ERROR" })));
    assert(isConnectionLoss(Object.assign(said, { code: "08006", severity: "FATAL" })));
  });

  it("is known for the cause of what could not be done, but by whom it was waited for", () => {
    const lost = withCode("ECONNRESET");
    assert(
      isConnectionLoss(new RefusedError("not dropped", { cause: new RefusedError("not ended", { cause: lost }) })),
    );
    assert(!isConnectionLoss(new RefusedError("not dropped", { cause: withCode("42501") })));
    assert(!isConnectionLoss(new TimeoutError("it did not come back", { cause: lost })));
  });

  it("is told from a server that will be there in a moment", () => {
    assert(isStarting(new UnreachableError("starting up", { cause: withCode("57P03") })));
    assert(!isStarting(new UnreachableError("nothing answers", { cause: withCode("ECONNREFUSED") })));
  });
});
