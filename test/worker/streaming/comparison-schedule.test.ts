import assert from "node:assert/strict";
import type { OnlineVerification } from "../../../provider/src/status";
import {
  comparisonSeconds,
  isComparisonDue,
  isRecentlyEqual,
  leadSeconds,
} from "../../../provider/src/worker/streaming/comparison-schedule";

const hour = 3600;
const opensAt = Date.parse("2030-02-02T02:00:00Z");

/** A time before the window opens, or after it if negative. */
const before = (seconds: number): number => opensAt - seconds * 1000;
const ran = (
  startsBefore: number,
  seconds: number,
  state: OnlineVerification["state"] = "equal",
): OnlineVerification => ({
  ...{ requestedBy: "beforeCutover", state, startedOn: new Date(before(startsBefore)).toISOString() },
  endedOn: new Date(before(startsBefore - seconds)).toISOString(),
});

describe("the comparison before a cutover window", () => {
  const isDue = (last: OnlineVerification | undefined, now: number, seconds = comparisonSeconds(last) ?? 0) =>
    isComparisonDue(last, { seconds, opensAt, now });

  it("starts at once for the first time, which shows how long it takes", () => {
    assert(isDue(undefined, before(100 * hour)));
    const { endedOn: _lost, ...interrupted } = ran(90 * hour, hour, "running");
    assert(isDue(interrupted, before(80 * hour)), "its worker died");
    assert(!isDue(ran(90 * hour, 3 * hour), before(80 * hour)), "it is complete");
  });

  it("starts again so early that it ends before the window, also if it takes longer than the window", () => {
    const last = ran(90 * hour, 8 * hour);
    const lead = leadSeconds(8 * hour);
    assert(lead > 16 * hour);
    assert(!isDue(last, before(lead + 1)));
    assert(isDue(last, before(lead)));
    assert(isDue(last, before(60)), "the worker was not there at that time");
  });

  it("starts earlier if the databases of a migration take longer together", () => {
    const last = ran(90 * hour, hour);
    assert(!isDue(last, before(5 * hour)));
    assert(isDue(last, before(5 * hour), 3 * hour));
  });

  it("is not repeated before the window if it ran recently, whether it found a difference or not", () => {
    for (const state of ["equal", "different"] as const) assert(!isDue(ran(4 * hour, 2 * hour, state), before(hour)));
  });

  it("is repeated after ten minutes if it failed", () => {
    const failed = ran(hour, 60, "failed");
    assert(!isDue(failed, before(hour - 120)));
    assert(isDue(failed, before(hour - 700)));
  });

  it("serves the cutover if it is recent and found no difference", () => {
    const compared = ran(5 * hour, 2 * hour);
    assert(isRecentlyEqual(compared, 2 * hour, before(0)));
    assert(isRecentlyEqual(compared, 2 * hour, before(-hour)), "the lag was too large at first");
    assert(!isRecentlyEqual(compared, 2 * hour, before(-24 * hour)), "for another window");
    assert(!isRecentlyEqual(ran(5 * hour, 2 * hour, "different"), 2 * hour, before(0)));
    assert(!isRecentlyEqual(undefined, 0, before(0)));
  });
});
