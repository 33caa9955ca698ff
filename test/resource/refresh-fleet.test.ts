import assert from "node:assert/strict";
import { parseInputs } from "../../provider/dist/inputs/check-inputs.js";
import { specOf } from "../../provider/dist/inputs/inputs.js";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { insertMigration } from "../../provider/dist/store/records.js";
import { withStore } from "../../provider/dist/store/store.js";
import { Lab } from "../support/lab";

describe("a refresh of many migrations into one target", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ target: { parameters: { max_connections: "20" } } });
  });
  after(() => lab.stop());

  it("reads every status, although the target has fewer connections than there are migrations", async () => {
    const members = Array.from({ length: 60 }, (_, i) => lab.inputs([`db${i}`], { runner: "external" }));
    const [first] = members.map(parseInputs);
    await withStore(first!, "test", async (store) => {
      for (const member of members) await insertMigration(store, specOf(parseInputs(member)));
    });
    const read = await Promise.all(members.map((member) => lifecycle.read("id", member)));
    const states = read.map(({ props }) => (props.currentStatus as MigrationStatus | undefined)?.state);
    assert.deepEqual(new Set(states), new Set(["InProgress"]));
    await lab.target.query("DROP SCHEMA pgmigration CASCADE", lab.onTarget("postgres"));
  });
});
