import assert from "node:assert/strict";
import { SchemaCheckBackoff } from "../../../provider/src/worker/streaming/schema-check-backoff";
import { TestClock } from "../../support/test-clock";

describe("the back-off of schema checks", () => {
  const clock = new TestClock();
  beforeEach(() => clock.start());
  afterEach(() => clock.stop());

  /** Times of the attempts, in seconds, if a check every three seconds always finds this schema. */
  const triesAt = (backoff: SchemaCheckBackoff, fingerprint: string, seconds: number): number[] => {
    const tries: number[] = [];
    for (let second = 0; second < seconds; second += 3) {
      if (!backoff.shouldSkip(fingerprint)) {
        tries.push(second);
        backoff.note(fingerprint, "refused");
      }
      clock.skip(3000);
    }
    return tries;
  };

  it("waits longer while the schema stays the same, and retries at once when it changes", () => {
    const backoff = new SchemaCheckBackoff();
    assert.deepEqual(triesAt(backoff, "one", 120), [0, 3, 9, 21, 45, 75, 105]);
    assert.deepEqual(triesAt(backoff, "another", 10), [0, 3, 9]);
    backoff.forget();
    assert.equal(backoff.shouldSkip("another"), false);
  });

  it("reports an error once, and again after another error or a success", () => {
    const backoff = new SchemaCheckBackoff();
    assert.deepEqual(
      [backoff.note("one", "refused"), backoff.note("one", "refused"), backoff.note("one", "locked")],
      [true, false, true],
    );
    backoff.forget();
    assert.equal(backoff.note("one", "locked"), true);
  });
});
