import assert from "node:assert/strict";
import pg from "pg";
import { isConnectionLoss, isStarting } from "../../provider/dist/postgres/connection/connection-loss.js";
import { RefusedError, TimeoutError, UnreachableError } from "../../provider/dist/errors.js";

const withCode = (code: string): Error => Object.assign(new Error("said by the server"), { code });

describe("the loss of a connection", () => {
  it("is distinguished from errors that would occur again", () => {
    for (const code of ["08006", "57P01", "57P03", "ECONNRESET"]) assert(isConnectionLoss(withCode(code)), code);
    for (const code of ["08P01", "42P01", "23505"]) assert(!isConnectionLoss(withCode(code)), code);
  });

  it("is not assumed for a lost connection to a foreign server", () => {
    const said = new pg.DatabaseError('could not connect to server "far"', 0, "error");
    assert(!isConnectionLoss(Object.assign(said, { code: "08001", severity: "ERROR" })));
    assert(isConnectionLoss(Object.assign(said, { code: "08006", severity: "FATAL" })));
  });

  it("is recognised as the cause of another error, but not of an expired wait", () => {
    const lost = withCode("ECONNRESET");
    assert(
      isConnectionLoss(new RefusedError("not dropped", { cause: new RefusedError("not ended", { cause: lost }) })),
    );
    assert(!isConnectionLoss(new RefusedError("not dropped", { cause: withCode("42501") })));
    assert(!isConnectionLoss(new TimeoutError("it did not come back", { cause: lost })));
  });

  it("is distinguished from a server that is starting up", () => {
    assert(isStarting(new UnreachableError("starting up", { cause: withCode("57P03") })));
    assert(!isStarting(new UnreachableError("nothing answers", { cause: withCode("ECONNREFUSED") })));
  });
});
