import assert from "node:assert/strict";
import { changesIn, hostNames, type Planned, Recorder } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`refresh with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    const plan: Planned[] = [
      { name: "a", props: { value: 1 } },
      { name: "b", dependsOn: ["a"] },
    ];

    it("records changed resources, drops missing ones, and loses nothing if a read fails", async () => {
      await recorder.host(plan).up();
      await recorder.takeCalls();
      await recorder.setActual({ a: { value: 2 }, b: "fails" });
      const failed = await recorder.host(plan).refresh();
      await recorder.setActual({ a: { value: 2 }, b: "gone" });
      const refreshed = await recorder.host(plan).refresh();
      const [read] = await recorder.takeCalls();
      assert.equal(failed.ok, false);
      assert.match(failed.diagnostics.map(({ message }) => message).join(), /the server does not answer/);
      assert.deepEqual([read?.id, read?.props?.value, read?.props?.derived], ["a-k", 1, "<1>"]);
      assert.deepEqual(refreshed.summary, { create: 0, update: 1, replace: 0, delete: 1, same: 1 });
      await recorder.host(plan).up();
      const calls = await recorder.takeCalls();
      assert.deepEqual(changesIn(calls), ["update a", "create b"]);
      assert.equal(calls.find(({ call }) => call === "update")?.olds?.value, 2);
    });

    it("runs before an up with the option refresh", async () => {
      await recorder.host(plan).up();
      await recorder.setActual({ a: "gone" });
      await recorder.takeCalls();
      const result = await recorder.host(plan).up({ refresh: true });
      assert.equal(result.ok, true);
      assert.deepEqual(changesIn(await recorder.takeCalls()), ["create a"]);
    });
  });
}
