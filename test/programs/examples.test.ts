import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { configOf } from "../../examples/automation/deploy-all";
import type { Host } from "../../tools/pulumi-host/host";
import { assertSameContent } from "../support/content";
import { ProgramScene, statusOf } from "../support/deploy-program";
import { hostNames } from "../support/pulumi-cli";
import { secretsIn } from "../support/secrets";

for (const hostName of hostNames) {
  describe(`the example programs, deployed by the ${hostName} host`, () => {
    const scene = new ProgramScene();

    const deploy = (program: string, config: Record<string, string>, environment?: Record<string, string>): Host =>
      scene.deploy(hostName, { program, config, environment });

    it("examples/offline: preview changes nothing, up migrates, a second up changes nothing, destroy cleans up", async () => {
      const database = await scene.lab.adventureWorks();
      const config = { dbsToMigrate: JSON.stringify(["adventureworks_*"]) };
      const host = deploy("examples/offline", config);
      // As users run it: Pulumi checks its types, too.
      const preview = await deploy("examples/offline", config, { PULUMI_NODEJS_TRANSPILE_ONLY: "false" }).preview();
      assert(preview.ok && preview.summary.create >= 1);
      const said = preview.diagnostics.map(({ message }) => message).join("\n");
      assert.match(said, new RegExp(`^dbsToMigrate adventureworks_\\* selects on .*: ${database}$`, "m"));
      assert.deepEqual(await scene.lab.targetDatabases(), []);
      assert.equal(statusOf(await host.up()).state, "Succeeded");
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
      await scene.lab.source.query("CREATE DATABASE adventureworks_later");
      const again = await host.up();
      assert.deepEqual([again.ok, again.summary.create, again.summary.update], [true, 0, 0]);
      assert((await host.destroy()).ok);
    });

    it("a preview accepts unknown values, and no secret is stored in clear text", async () => {
      const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const host = deploy("test/programs/late-target", {
        dbsToMigrate: JSON.stringify([`${database}*`]),
        sourcePassword: scene.lab.source.login.password,
      });
      const preview = await host.preview();
      assert(preview.ok, JSON.stringify(preview.diagnostics));
      const said = preview.diagnostics.map(({ message }) => message).join("\n");
      assert.match(said, new RegExp(` selects on .*: ${database}$`, "m"), "although the target is unknown");
      const result = await host.up();
      assert(result.ok, JSON.stringify(result.diagnostics));
      assert.equal((result.outputs.migration as unknown as MigrationStatus).state, "Succeeded");
      const secrets = [scene.lab.source.login.password, scene.lab.administrator.password];
      const state = hostName === "embedded" ? await readFile(join(scene.directory, "state.json"), "utf8") : "";
      assert.deepEqual(await secretsIn(secrets, { lab: scene.lab, texts: [state, JSON.stringify(result)] }), []);
      assert((await host.destroy()).ok);
    });
  });
}

describe("examples/automation, before it deploys,", () => {
  it("sets passwords as secrets, and names a variable that is missing", () => {
    const server = { name: "berlin", sourceHost: "old", targetHost: "new" };
    const config = configOf(server, { SOURCE_PASSWORD: "a", TARGET_PASSWORD: "b" });
    assert.deepEqual([config.sourcePassword, config.targetHost], [{ value: "a", secret: true }, { value: "new" }]);
    assert.throws(() => configOf(server, { SOURCE_PASSWORD: "a" }), /set the variable TARGET_PASSWORD/);
  });
});
