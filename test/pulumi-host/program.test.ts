import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Deployment } from "../../tools/pulumi-host/engine/deployment";
import type { HostOptions } from "../../tools/pulumi-host/host";
import { createHost, hostNames } from "../support/pulumi-cli";

const programs = resolve("test/pulumi-host/programs");
const passphrase = "a passphrase for tests";

for (const hostName of hostNames) {
  describe(`a program run by the ${hostName} host`, () => {
    let directory: string;
    beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), "program-"))));
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const host = (name: string, options: Partial<HostOptions> = {}) =>
      createHost(hostName, directory, { programDirectory: join(programs, name), stack: "dev", passphrase, ...options });

    it("can be TypeScript, with defaults of the project and its own dynamic type", async () => {
      const result = await host("typed").up();
      assert.deepEqual(result.outputs, { area: 16 });
      assert.ok(result.operations.some(({ urn }) => urn.includes("::pulumi-nodejs:dynamic/shapes:Square::square")));
      assert.deepEqual((await host("typed", { config: { size: "5" } }).preview()).summary.create, 0);
    });

    it("can be an ECMAScript module, and gets configuration of its own and of other namespaces", async () => {
      const options = { config: { "elsewhere:key": "value" }, secretConfig: { name: "world" } };
      const result = await host("esm", options).up();
      assert.deepEqual(result.outputs, { greeting: "[secret]", stack: "dev", other: "value" });
      assert.equal((await host("esm", options).outputs({ showSecrets: true })).greeting, "hello world");
    });
  });
}

describe("configuration of the embedded host", () => {
  it("is kept in the stack's file with encrypted secrets, and passed values override it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "program-"));
    try {
      await cp(join(programs, "esm"), directory, { recursive: true });
      await symlink(resolve("node_modules"), join(directory, "node_modules"));
      const options = { programDirectory: directory, stack: "dev", passphrase };
      const deployment = new Deployment(options);
      deployment.setConfiguration("name", "stranger", true);
      deployment.setConfiguration("elsewhere:key", "kept", false);
      const file = await readFile(join(directory, "Pulumi.dev.yaml"), "utf8");
      assert.match(file, /esm:name:\s+secure: v1:/);
      assert.ok(!file.includes("stranger"));
      const result = await new Deployment({ ...options, config: { "elsewhere:key": "passed" } }).up();
      assert.deepEqual(result.outputs, { greeting: "[secret]", stack: "dev", other: "passed" });
      assert.equal((await deployment.outputs({ showSecrets: true })).greeting, "hello stranger");
      const stranger = new Deployment({ ...options, passphrase: "another" });
      await assert.rejects(stranger.preview(), /passphrase/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
