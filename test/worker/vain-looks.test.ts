import assert from "node:assert/strict";
import { SchemaCheckBackoff } from "../../provider/src/worker/schema-sync/schema-check-backoff";
import { TestClock } from "../support/test-clock";

describe("looks at a schema that come to nothing", () => {
  const clock = new TestClock();
  beforeEach(() => clock.start());
  afterEach(() => clock.stop());

  /** When the schema is tried, of looks every three seconds that all come to this. */
  const triesAt = (vain: SchemaCheckBackoff, fingerprint: string, seconds: number): number[] => {
    const tries: number[] = [];
    for (let second = 0; second < seconds; second += 3) {
      if (!vain.shouldSkip(fingerprint)) {
        tries.push(second);
        vain.note(fingerprint, "refused");
      }
      clock.skip(3000);
    }
    return tries;
  };

  it("are made less and less often while the schema stays as it is, and at once when it changes", () => {
    const vain = new SchemaCheckBackoff();
    assert.deepEqual(triesAt(vain, "one", 120), [0, 3, 9, 21, 45, 75, 105]);
    assert.deepEqual(triesAt(vain, "another", 10), [0, 3, 9]);
    vain.forget();
    assert.equal(vain.shouldSkip("another"), false);
  });

  it("are told once until they come to something else, or to something at all", () => {
    const vain = new SchemaCheckBackoff();
    assert.deepEqual(
      [vain.note("one", "refused"), vain.note("one", "refused"), vain.note("one", "locked")],
      [true, false, true],
    );
    vain.forget();
    assert.equal(vain.note("one", "locked"), true);
  });
});
