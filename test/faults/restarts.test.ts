import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

describe("an online migration whose servers restart while it follows", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
  });
  after(() => lab.stop());

  it("goes on in the same worker", async () => {
    const database = await lab.database(Traffic.schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const { worker } = await resource.refresh();
    for (const [server, mode] of [
      [lab.target, "immediate"],
      [lab.source, "fast"],
      [lab.source, "immediate"],
      [lab.target, "fast"],
    ] as const) {
      await server.halt(mode);
      await sleep(1000);
      await server.resume();
      await lab.source.query("INSERT INTO scratch SELECT coalesce(max(id), 0) + 1, 'here' FROM scratch", { database });
    }
    await until("the last row is there", async () => {
      const rows = await lab.target.query("SELECT FROM scratch", { database, login: lab.administrator });
      return rows.length === 4;
    });
    const after = await resource.refresh();
    assert.equal(after.state, "WaitingForUserAction", after.error);
    assert.equal(after.worker.pid, worker.pid);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(
      { server: lab.source, database },
      { server: lab.target, database, login: lab.administrator },
    );
    await resource.destroy();
  });
});
