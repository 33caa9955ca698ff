import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import type { HostEvent } from "../../tools/pulumi-host/host";
import { changesIn, hostNames, Recorder } from "../support/pulumi-cli";

const secretTexts = ["tok-4711", "pass-0815", "deep-1234", "listed-99", "extra-5678"];
const plan = [
  {
    name: "a",
    props: {
      value: 1,
      extra: "extra-5678",
      says: "connecting with tok-4711",
      exports: ["token", "nested", "list", "extra", "value"],
    },
    secrets: { token: "tok-4711", nested: { deep: "deep-1234" }, list: ["listed-99", "open"] },
    options: { additionalSecretOutputs: ["extra"] },
  },
];
const options = { secretConfig: { password: "pass-0815" } };

const withoutMessage = (event: object): object => ({ ...event, message: "" });

for (const hostName of hostNames) {
  describe(`secrets with the ${hostName} host`, () => {
    let recorder: Recorder;
    beforeEach(async () => (recorder = await Recorder.create(hostName)));
    afterEach(() => recorder.remove());

    it("reach only the provider in clear text", async () => {
      const events: HostEvent[] = [];
      const host = recorder.host(plan, { ...options, onEvent: (event) => events.push(event) });
      const result = await host.up();
      const creation = (await recorder.takeCalls()).find(({ call }) => call === "create");
      assert.deepEqual(
        [creation?.props?.token, creation?.props?.nested, creation?.props?.list],
        ["tok-4711", { deep: "deep-1234" }, ["listed-99", "open"]],
      );
      const hidden = "[secret]";
      const expected = {
        a_token: hidden,
        a_nested: hidden,
        a_list: hidden,
        a_extra: hidden,
        a_value: 1,
        password: hidden,
      };
      assert.deepEqual(result.outputs, expected);
      assert.deepEqual(await host.outputs(), expected);
      assert.deepEqual(await host.outputs({ showSecrets: true }), {
        a_token: "tok-4711",
        a_nested: { deep: "deep-1234" },
        a_list: ["listed-99", "open"],
        a_extra: "extra-5678",
        a_value: 1,
        password: "pass-0815",
      });
      // The CLI does not hide secrets in messages of providers. The embedded host does.
      const said = hostName === "cli" ? [...events, ...result.diagnostics].map(withoutMessage) : [events, result];
      const shown = JSON.stringify([result.outputs, result.operations, said]);
      for (const text of secretTexts) assert.ok(!shown.includes(text), `${text} was shown`);
    });
  });
}

/** Without this value, the message would contain a plain input with a secret. */
const silent = plan.map((resource) => ({ ...resource, props: { ...resource.props, says: "" } }));

describe("secrets in the embedded host's state", () => {
  let recorder: Recorder;
  beforeEach(async () => (recorder = await Recorder.create()));
  afterEach(() => recorder.remove());

  it("are encrypted in a file that only its owner can read, and the next up compares them", async () => {
    await recorder.host(silent, options).up();
    await recorder.takeCalls();
    const state = readFileSync(recorder.stateFile, "utf8");
    for (const text of secretTexts.slice(0, 4)) assert.ok(!state.includes(text), `${text} is in the state`);
    assert.equal(statSync(recorder.stateFile).mode & 0o777, 0o600);
    const same = await recorder.host(silent, options).up();
    assert.equal(same.summary.same, 2);
    await recorder.setActual({ a: { token: "tok-4712" } });
    const refreshed = await recorder.host(silent, options).refresh();
    assert.equal(refreshed.summary.update, 1);
    assert.ok(!readFileSync(recorder.stateFile, "utf8").includes("tok-4712"));
    assert.deepEqual(changesIn(await recorder.takeCalls()), []);
  });

  it("cannot be read with another passphrase", async () => {
    await recorder.host([], options).up();
    await assert.rejects(recorder.host([], { ...options, passphrase: "another" }).outputs(), /passphrase/);
  });
});
