import assert from "node:assert/strict";
import { applyGeneration } from "../../../provider/src/worker/context/apply-generation";

describe("the generation of a session that applies changes", () => {
  it("is higher with a later term, and in each later generation of the leader", () => {
    const rising = [
      applyGeneration(1, 0),
      applyGeneration(1, 1),
      applyGeneration(1, 900_000_000),
      applyGeneration(2, 0),
    ];
    assert.deepEqual(
      rising,
      [...rising].sort((one, other) => one - other),
    );
    assert.equal(new Set(rising).size, rising.length);
    // A generation that an earlier version recorded.
    assert(applyGeneration(3, 0) > 3);
  });

  it("is an exact number in the millionth generation", () => {
    assert(Number.isSafeInteger(applyGeneration(1_000_000, 999_999_999)));
  });
});
