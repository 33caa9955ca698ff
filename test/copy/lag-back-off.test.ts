import assert from "node:assert/strict";
import { LagBackOff } from "../../provider/src/worker/monitoring/lag-back-off";

const megabyte = 1024 ** 2;

describe("the back-off of a copy from the lag of replicas", () => {
  const fast = { limitSeconds: 10, bytesPerSecond: 100 * megabyte };

  it("starts with a moderate rate, and grows to twice of what the copy reads while no replica is behind", () => {
    const backOff = new LagBackOff();
    assert.equal(backOff.bytesPerSecond, 8 * megabyte);
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 5 });
    assert.equal(backOff.bytesPerSecond, 200 * megabyte);
  });

  it("halves what the copy reads with each step beyond the limit, down to 64 kB", () => {
    const backOff = new LagBackOff();
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 0 });
    assert.equal(backOff.step({ ...fast, lagSeconds: 11 }), 50 * megabyte);
    assert.equal(backOff.step({ ...fast, lagSeconds: 12, bytesPerSecond: 50 * megabyte }), 25 * megabyte);
    for (let step = 1; step <= 20; step++) backOff.step({ ...fast, lagSeconds: 30, bytesPerSecond: 0 });
    assert.equal(backOff.bytesPerSecond, 64 * 1024);
  });

  it("keeps its rate between half of the limit and the limit, and an idle copy does not lower it", () => {
    const backOff = new LagBackOff();
    backOff.step({ ...fast, lagSeconds: 11 });
    const before = backOff.bytesPerSecond;
    assert.equal(backOff.step({ ...fast, lagSeconds: 7 }), before);
    assert.equal(backOff.step({ ...fast, lagSeconds: 10 }), before);
    assert.equal(backOff.step({ ...fast, lagSeconds: 5, bytesPerSecond: 0 }), before * 1.5);
  });
});
