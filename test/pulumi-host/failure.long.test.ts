import assert from "node:assert/strict";

import { changesIn, errorsOf, hostNames, type Planned, Recorder } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`a failure with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    it("is reported on the resource, keeps completed steps, and deletes nothing", async () => {
      await recorder.host([{ name: "leaving" }]).up();
      await recorder.takeCalls();
      const plan = (fails: boolean): Planned[] => [
        { name: "first", props: fails ? {} : { value: 1 } },
        { name: "broken", props: fails ? { createFails: "the disk is full" } : {}, dependsOn: ["first"] },
        { name: "never", dependsOn: ["broken"] },
      ];
      const failed = await recorder.host(plan(true)).up();
      assert.equal(failed.ok, false);
      assert.deepEqual(changesIn(await recorder.takeCalls()), ["create first", "create broken"]);
      assert.match(errorsOf(failed), /the disk is full/);
      assert.ok(failed.diagnostics.some(({ urn }) => urn?.endsWith("::broken")));
      const mended = await recorder.host(plan(false)).up();
      assert.equal(mended.ok, true);
      assert.deepEqual(changesIn(await recorder.takeCalls()), [
        "update first",
        "create broken",
        "create never",
        "delete leaving",
      ]);
    });

    it("of an incomplete create keeps the resource, and an update completes it", async () => {
      const plan = (incomplete: string): Planned[] => [{ name: "half", props: { incomplete, diffSame: true } }];
      const created = await recorder.host(plan("still copying")).up();
      await recorder.takeCalls();
      const updated = await recorder.host(plan("")).up();
      const changes = await recorder.takeCalls();
      const same = await recorder.host(plan("")).up();
      assert.equal(created.ok, false);
      assert.match(errorsOf(created), /still copying/);
      assert.equal(updated.ok, true);
      assert.deepEqual(changesIn(changes), ["update half"]);
      assert.equal(changes.find(({ call }) => call === "update")?.id, "half-k");
      assert.equal(same.summary.same, 2);
    });

    it("of an update keeps the old state", async () => {
      await recorder.host([{ name: "a", props: { value: 1 } }]).up();
      const failed = await recorder.host([{ name: "a", props: { value: 2, updateFails: "refused" } }]).up();
      await recorder.takeCalls();
      await recorder.host([{ name: "a", props: { value: 3 } }]).up();
      const update = (await recorder.takeCalls()).find(({ call }) => call === "update");
      assert.equal(failed.ok, false);
      assert.equal(update?.olds?.value, 1);
    });

    it("of a check is reported in the preview", async () => {
      const result = await recorder.host([{ name: "a", props: { invalid: "it is too short" } }]).preview();
      assert.equal(result.ok, false);
      assert.match(errorsOf(result), /it is too short/);
    });

    it("of the program deletes no resource and no output", async () => {
      await recorder.host([{ name: "a", props: { value: 1, exports: ["derived"] } }, { name: "b" }]).up();
      await recorder.takeCalls();
      const host = recorder.host([{ name: "a", props: { value: 1 } }], { config: { fails: "a bug in the program" } });
      const result = await host.up();
      assert.equal(result.ok, false);
      assert.match(errorsOf(result), /a bug in the program/);
      assert.deepEqual(changesIn(await recorder.takeCalls()), []);
    });

    it("of a provider process ends the operation", async () => {
      const result = await recorder.host([{ name: "a", props: { crashes: true } }]).up();
      assert.equal(result.ok, false);
      assert.notEqual(errorsOf(result), "");
    });

    it("is reported for two resources with the same name", async () => {
      const result = await recorder.host([{ name: "twin" }, { name: "twin" }]).up();
      assert.equal(result.ok, false);
      assert.match(errorsOf(result), /twin/);
    });
  });
}
