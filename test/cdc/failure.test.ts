import assert from "node:assert/strict";
import { asFailure } from "../../provider/src/cdc/model/failure";
import { RefusedError } from "../../provider/src/errors";

describe("asFailure", () => {
  it("names the place of bytes that the target's encoding does not have, and a remedy", () => {
    const said = Object.assign(new Error('invalid byte sequence for encoding "UTF8": 0xe4'), {
      code: "22021",
      where: "COPY t, line 1",
    });
    const failure = asFailure(said, "applying changes to db");
    assert.ok(failure instanceof RefusedError);
    assert.match(
      failure.message,
      /^applying changes to db: invalid byte .* \(COPY t, line 1\)\n {2}To do: correct .*start again/,
    );
  });
});
