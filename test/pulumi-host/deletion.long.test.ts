import assert from "node:assert/strict";
import { changesIn, hostNames, type Planned, Recorder } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`deletion with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    it("deletes resources removed from the program, dependents first, except for retainOnDelete and deletedWith", async () => {
      const group: Planned = { name: "group", group: true };
      await recorder
        .host([
          { name: "base" },
          { name: "middle", takes: { value: ["base", "derived"] } },
          { name: "top", dependsOn: ["middle"] },
          group,
          { name: "child", parent: "group" },
          { name: "retained", options: { retainOnDelete: true } },
          { name: "rider", deletedWith: "base" },
        ])
        .up();
      await recorder.takeCalls();
      const result = await recorder.host([group]).up();
      const changes = changesIn(await recorder.takeCalls());
      assert.equal(result.summary.delete, 6);
      assert.deepEqual(
        changes.filter((change) => change !== "delete child"),
        ["delete top", "delete middle", "delete base"],
      );
      assert.ok(changes.includes("delete child"));
    });

    it("destroys everything in the reverse order of dependencies", async () => {
      await recorder
        .host([
          { name: "base", props: { exports: ["chosen"] } },
          { name: "top", dependsOn: ["base"] },
        ])
        .up();
      await recorder.takeCalls();
      const host = recorder.host([]);
      const result = await host.destroy();
      assert.deepEqual(result.summary, { create: 0, update: 0, replace: 0, delete: 3, same: 0 });
      assert.deepEqual(changesIn(await recorder.takeCalls()), ["delete top", "delete base"]);
      assert.deepEqual(await host.outputs(), {});
      assert.deepEqual((await host.destroy()).summary.delete, 0);
    });

    it("refuses to delete or replace protected resources", async () => {
      const safe = (key: string): Planned => ({ name: "safe", props: { key }, options: { protect: true } });
      await recorder.host([safe("one")]).up();
      await recorder.takeCalls();
      const replaced = await recorder.host([safe("two")]).up();
      const left = await recorder.host([]).up();
      const destroyed = await recorder.host([]).destroy();
      assert.deepEqual([replaced.ok, left.ok, destroyed.ok], [false, false, false]);
      assert.match(left.diagnostics.map(({ message }) => message).join(), /protect/);
      assert.deepEqual(changesIn(await recorder.takeCalls()), []);
      const unprotected = await recorder.host([{ name: "safe", props: { key: "one" } }]).up();
      assert.equal(unprotected.summary.same, 2);
      assert.equal((await recorder.host([]).destroy()).ok, true);
    });
  });
}
