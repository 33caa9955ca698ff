import assert from "node:assert/strict";
import { benchFleet, fleetTable } from "../../bench/fleet";
import { parseOptions } from "../../bench/options";

describe("the benchmark of a fleet", () => {
  it("migrates ten pairs of databases while workers are killed, and finds all equal and nothing left behind", async () => {
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const command = parseOptions(["fleet", "--scale", "0.1", "--set", "10 pairs"], {
      sets: { fleet: ["10 pairs"] },
      peers: [],
    });
    const results = await benchFleet({ ...command, say });
    assert.equal(results.length, 1);
    const { pairs, kills, workers, medianWorkerBytes, poolBytes } = results[0]!;
    assert.equal(pairs, 10);
    assert(kills >= 1 && workers >= pairs, `${kills} kills, ${workers} workers`);
    assert(medianWorkerBytes > 0 && poolBytes > 0);
    assert.match(said.at(-1)!, /all equal, nothing left behind/);
    assert.match(fleetTable(results), /\| 10 pairs +\|/);
  });
});
