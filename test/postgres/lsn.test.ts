import assert from "node:assert/strict";
import fc from "fast-check";
import { formatLsn, parseLsn } from "../../provider/src/postgres/lsn";

describe("an LSN", () => {
  it("is the same after printing and reading", () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (lsn) => parseLsn(formatLsn(lsn)) === lsn));
  });

  it("prints as PostgreSQL does", () => {
    assert.equal(formatLsn(0x16b374d848n), "16/B374D848");
    assert.equal(formatLsn(0n), "0/0");
    assert.equal(parseLsn("0/1f"), 31n);
  });

  it("is not read from anything else", () => {
    for (const text of ["", "0", "0/", "/0", "0/G", "123456789/0", "0/0/0", " 0/0"])
      assert.throws(() => parseLsn(text), RangeError);
  });
});
