import assert from "node:assert/strict";
import { changesIn, hostNames, type Planned, Recorder } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`replacement with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    const pair = (key: string, props: Planned["props"] = {}, options: Planned["options"] = {}): Planned[] => [
      { name: "base", props: { key, ...props }, options },
      { name: "dependent", takes: { key: ["base", "chosen"] } },
    ];

    async function replace(...plans: [Planned[], Planned[]]) {
      await recorder.host(plans[0]).up();
      await recorder.takeCalls();
      const result = await recorder.host(plans[1]).up();
      return { result, calls: await recorder.takeCalls() };
    }

    it("creates before it deletes, and replaces dependents in between", async () => {
      const { result, calls } = await replace(pair("one"), pair("two"));
      assert.deepEqual(result.summary, { create: 0, update: 0, replace: 2, delete: 0, same: 1 });
      assert.deepEqual(changesIn(calls), ["create base", "create dependent", "delete dependent", "delete base"]);
      const creation = calls.find(({ call }) => call === "create");
      assert.equal(creation?.props?.chosen, "base-two", "the check for a replacement must not see the old inputs");
      assert.equal(calls.find(({ call, name }) => call === "delete" && name === "base")?.id, "base-one");
    });

    it("deletes first if the provider requires it, dependents before the resource", async () => {
      const { result, calls } = await replace(pair("one"), pair("two", { deleteFirst: true }));
      assert.deepEqual(result.summary, { create: 0, update: 0, replace: 2, delete: 0, same: 1 });
      assert.deepEqual(changesIn(calls), ["delete dependent", "delete base", "create base", "create dependent"]);
    });

    it("prefers the program's deleteBeforeReplace over the provider's, and follows replaceOnChanges", async () => {
      const plan = (key: string, value: number): Planned[] => [
        { name: "before", props: { key, deleteFirst: false }, options: { deleteBeforeReplace: true } },
        { name: "after", props: { key, deleteFirst: true }, options: { deleteBeforeReplace: false } },
        { name: "steady", props: { key, diffSame: true } },
        { name: "strict", props: { value, diffUnknown: true }, options: { replaceOnChanges: ["value"] } },
      ];
      const { calls } = await replace(plan("one", 1), plan("two", 2));
      const changesOf = (name: string): string[] => changesIn(calls.filter((call) => call.name === name));
      assert.deepEqual(changesOf("before"), ["delete before", "create before"]);
      assert.deepEqual(changesOf("after"), ["create after", "delete after"]);
      assert.deepEqual(changesOf("steady"), []);
      assert.deepEqual(changesOf("strict"), ["create strict", "delete strict"]);
    });

    it("resumes after a failed deletion or creation", async () => {
      await recorder.host(pair("one")).up();
      await recorder.refuseDeletes(true);
      const stuck = await recorder.host(pair("two")).up();
      await recorder.refuseDeletes(false);
      await recorder.takeCalls();
      const cleaned = await recorder.host(pair("two")).up();
      assert.equal(stuck.ok, false);
      assert.equal(cleaned.ok, true);
      assert.deepEqual(changesIn(await recorder.takeCalls()), ["delete dependent", "delete base"]);

      const broken = await recorder.host(pair("three", { deleteFirst: true, createFails: "no room" })).up();
      await recorder.takeCalls();
      const mended = await recorder.host(pair("three", { deleteFirst: true })).up();
      assert.equal(broken.ok, false);
      assert.equal(mended.summary.replace, 2);
      assert.deepEqual(changesIn(await recorder.takeCalls()), ["create base", "create dependent"]);
    });
  });
}
