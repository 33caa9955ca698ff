import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

describe("an online migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("continues with a successor when its worker is killed, and loses no change", async () => {
    const database = await lab.database(Traffic.schema);
    const traffic = Traffic.start(lab.source, database, 3);
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online" }));
      for (let round = 0; round < 3; round++) {
        await traffic.forTransactions(100);
        process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
        await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
        await traffic.forTransactions(50);
        assert.equal((await resource.diff()).changes, true, "a lost worker is a change");
        assert.equal((await resource.update({})).worker.state, "running");
      }
    } finally {
      await traffic.stop();
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
