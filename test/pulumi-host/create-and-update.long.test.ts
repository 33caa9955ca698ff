import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { unknownValue } from "../../tools/pulumi-host/protocol/property-value";
import { changesIn, hostNames, Recorder } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`up with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    const chain = (value: number) => [
      { name: "base", props: { value, exports: ["derived"] } },
      { name: "dependent", takes: { value: ["base", "derived"] as const } },
      { name: "later", props: { value: 7 }, dependsOn: ["dependent"] },
    ];

    it("creates nothing in a preview, and passes outputs of new resources as unknown", async () => {
      const result = await recorder.host(chain(1)).preview();
      const calls = await recorder.takeCalls();
      assert.equal(result.ok, true);
      assert.deepEqual(result.summary, { create: 4, update: 0, replace: 0, delete: 0, same: 0 });
      assert.deepEqual(changesIn(calls), []);
      assert.equal(calls.find(({ name }) => name === "dependent")?.news?.value, unknownValue);
      assert.equal(existsSync(recorder.stateFile), false);
    });

    it("creates in the order of dependencies, and changes nothing the second time", async () => {
      const created = await recorder.host(chain(1)).up();
      const creations = await recorder.takeCalls();
      const same = await recorder.host(chain(1)).up();
      assert.deepEqual(created.summary, { create: 4, update: 0, replace: 0, delete: 0, same: 0 });
      assert.deepEqual(created.outputs, { base_derived: "<1>" });
      assert.deepEqual(changesIn(creations), ["create base", "create dependent", "create later"]);
      assert.equal(creations.find(({ call, name }) => call === "create" && name === "dependent")?.props?.value, "<1>");
      assert.deepEqual(same.summary, { create: 0, update: 0, replace: 0, delete: 0, same: 4 });
      assert.deepEqual(same.outputs, created.outputs);
      assert.deepEqual(changesIn(await recorder.takeCalls()), []);
    });

    it("passes the old inputs to check, and the old outputs to diff and update", async () => {
      await recorder.host(chain(1)).up();
      await recorder.takeCalls();
      const previewed = await recorder.host(chain(2)).preview();
      const previewCalls = await recorder.takeCalls();
      const updated = await recorder.host(chain(2)).up();
      const calls = await recorder.takeCalls();
      const summary = { create: 0, update: 2, replace: 0, delete: 0, same: 2 };
      assert.deepEqual([previewed.summary, updated.summary], [summary, summary]);
      assert.deepEqual(changesIn(previewCalls), []);
      assert.deepEqual(changesIn(calls), ["update base", "update dependent"]);
      const base = calls.filter(({ name }) => name === "base");
      const [check, diff, update] = base;
      assert.deepEqual(
        [check?.call, check?.olds?.value, check?.olds?.derived, check?.news?.value],
        ["check", 1, undefined, 2],
      );
      assert.deepEqual([diff?.call, diff?.id, diff?.olds?.derived, diff?.news?.value], ["diff", "base-k", "<1>", 2]);
      assert.deepEqual([update?.call, update?.id, update?.olds?.derived], ["update", "base-k", "<1>"]);
      assert.equal(update?.news?.chosen, "base-k", "inputs added by check must reach update");
      assert.deepEqual(updated.outputs, { base_derived: "<2>" });
    });

    it("compares the inputs if the provider returns no diff, and keeps old values for ignoreChanges", async () => {
      const plan = (value: number, ignored: number) => [
        { name: "unsure", props: { value, diffUnknown: true } },
        { name: "ignoring", props: { value: ignored }, options: { ignoreChanges: ["value"] } },
      ];
      await recorder.host(plan(1, 1)).up();
      const same = await recorder.host(plan(1, 2)).up();
      await recorder.takeCalls();
      const changed = await recorder.host(plan(2, 2)).up();
      const calls = await recorder.takeCalls();
      assert.equal(same.summary.same, 3);
      assert.equal(changed.summary.update, 1);
      assert.deepEqual(changesIn(calls), ["update unsure"]);
      assert.equal(calls.find(({ name, call }) => name === "ignoring" && call === "diff")?.news?.value, 1);
    });

    it("keeps a resource and the children of a component that alias their old names", async () => {
      await recorder.host([{ name: "group", group: true }, { name: "child", parent: "group" }, { name: "old" }]).up();
      await recorder.takeCalls();
      const renamed = await recorder
        .host([
          { name: "team", group: true, options: { aliases: [{ name: "group" }] } },
          { name: "child", parent: "team" },
          { name: "new", options: { aliases: [{ name: "old" }] } },
        ])
        .up();
      assert.equal(renamed.ok, true);
      assert.deepEqual(
        changesIn(await recorder.takeCalls()).filter((change) => !change.startsWith("update")),
        [],
      );
      assert.ok(
        renamed.operations.some(({ urn }) => urn.endsWith("test:index:Group$pulumi-nodejs:dynamic:Resource::child")),
      );
    });
  });
}
