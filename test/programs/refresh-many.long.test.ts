import assert from "node:assert/strict";
import type { FleetSummary } from "pulumi-pg-migration";
import { parseInputs } from "../../provider/dist/inputs/check-inputs.js";
import { specOf } from "../../provider/dist/inputs/inputs.js";
import { insertMigration } from "../../provider/dist/store/records.js";
import { withStore } from "../../provider/dist/store/store.js";
import { ProgramScene } from "../support/deploy-program";

const members = 200;

describe("a stack with 200 members", () => {
  const scene = new ProgramScene();

  it("shows the state of each member after a refresh by the embedded host", async () => {
    const inputs = Array.from({ length: members }, (_, i) =>
      parseInputs(scene.lab.inputs([`db${i}`], { migrationName: `member-${i}`, runner: "external" })),
    );
    await withStore(inputs[0]!, "test", async (store) => {
      for (const one of inputs) await insertMigration(store, specOf(one));
      await store.query("UPDATE pgmigration.migration SET state = 'Succeeded', ended_at = clock_timestamp()");
    });
    const program = "test/programs/many-members";
    const host = scene.deploy("embedded", { program, config: { members: String(members) } });
    const up = await host.up();
    assert(up.ok, JSON.stringify(up.diagnostics));
    assert.equal((up.outputs.summary as unknown as FleetSummary).succeeded, members);
    await scene.lab.target.query("UPDATE pgmigration.migration SET error = 'seen by the refresh', state = 'Failed'");
    const startedAt = performance.now();
    const refreshed = await host.refresh();
    console.log(`      refresh of ${members} members: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    assert(refreshed.ok, JSON.stringify(refreshed.diagnostics));
    assert.equal(refreshed.summary.update, members);
    await scene.lab.target.query("DROP SCHEMA pgmigration CASCADE", scene.lab.onTarget("postgres"));
  });
});
