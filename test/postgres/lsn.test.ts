import assert from "node:assert/strict";
import fc from "fast-check";
import { formatLsn, parseLsn } from "../../provider/src/postgres/lsn";

describe("an LSN", () => {
  it("is the same after formatting and parsing", () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (lsn) => parseLsn(formatLsn(lsn)) === lsn));
  });

  it("is formatted as PostgreSQL does", () => {
    assert.equal(formatLsn(0x16b374d848n), "16/B374D848");
    assert.equal(formatLsn(0n), "0/0");
    assert.equal(parseLsn("0/1f"), 31n);
  });

  it("is not parsed from invalid text", () => {
    for (const text of ["", "0", "0/", "/0", "0/G", "123456789/0", "0/0/0", " 0/0"])
      assert.throws(() => parseLsn(text), RangeError);
  });
});
