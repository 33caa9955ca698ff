import assert from "node:assert/strict";
import { FollowRateMeter } from "../../provider/src/worker/followers/apply-rates";

describe("the rates of a stream", () => {
  const status = (changes: number, lagBytes: number | undefined) => ({
    inserts: changes,
    updates: 2 * changes,
    deletes: 3 * changes,
    lagBytes,
  });

  it("cover the last ten seconds, and predict when the target has caught up", () => {
    const meter = new FollowRateMeter();
    const first = meter.measure(status(0, 5000), 0);
    assert.deepEqual([first.insertsPerSecond, first.secondsToCatchUp], [0, undefined]);
    assert.deepEqual(meter.measure(status(100, 4000), 10_000), {
      insertsPerSecond: 10,
      updatesPerSecond: 20,
      deletesPerSecond: 30,
      secondsToCatchUp: 40,
    });
    const later = meter.measure(status(600, 1000), 20_000);
    assert.deepEqual([later.insertsPerSecond, Math.round(later.secondsToCatchUp! * 10)], [50, 33]);
  });

  it("have no prediction while the lag grows or is unknown, and 0 s without lag", () => {
    const meter = new FollowRateMeter();
    meter.measure(status(0, 100), 0);
    assert.equal(meter.measure(status(1, 200), 1000).secondsToCatchUp, undefined);
    assert.equal(meter.measure(status(1, undefined), 2000).secondsToCatchUp, undefined);
    assert.equal(meter.measure(status(2, 0), 3000).secondsToCatchUp, 0);
  });
});
