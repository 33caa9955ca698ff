import assert from "node:assert/strict";
import { BorrowerBackoff } from "../../../provider/src/worker/streaming/borrower-backoff";

describe("a pool process whose workers cannot apply lent streams", () => {
  it("gets none for five minutes after three failures in a row", () => {
    const backoff = new BorrowerBackoff();
    for (const count of [1, 2]) {
      backoff.noteFailure("one", count);
      assert.equal(backoff.isRefused("one", count), false);
    }
    backoff.noteFailure("one", 3);
    assert.equal(backoff.isRefused("one", 300_002), true);
    assert.equal(backoff.isRefused("other", 4), false);
    assert.equal(backoff.isRefused("one", 300_003), false);
  });

  it("starts to count again after a success", () => {
    const backoff = new BorrowerBackoff();
    backoff.noteFailure("one", 1);
    backoff.noteFailure("one", 2);
    backoff.noteSuccess("one");
    backoff.noteFailure("one", 3);
    assert.equal(backoff.isRefused("one", 4), false);
  });
});
