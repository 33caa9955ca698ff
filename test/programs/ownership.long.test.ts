import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { ProgramScene, statusOf } from "../support/deploy-program";
import { hostNames } from "../support/pulumi-cli";

for (const hostName of hostNames) {
  describe(`the owner of a migration record, deployed by the ${hostName} host`, () => {
    const scene = new ProgramScene();

    it("is the new resource after it was renamed: the running migration continues and reaches its cutover", async () => {
      const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const deploy = (resourceName: string, config: Record<string, string> = {}) =>
        scene.deploy(hostName, {
          program: "test/programs/renamed",
          config: { resourceName, dbsToMigrate: JSON.stringify([database]), ...config },
        });
      const slots = () =>
        scene.lab.source.query("SELECT slot_name, active FROM pg_replication_slots WHERE NOT temporary");
      const { worker } = statusOf(await deploy("before").up());
      const renamed = await deploy("after").up();
      assert.deepEqual([renamed.summary.create, renamed.summary.delete], [1, 1]);
      assert.equal(statusOf(renamed).worker.pid, worker.pid);
      const said = renamed.diagnostics.map(({ message }) => message).join("\n");
      assert.match(said, /adopted the migration moved that the resource before of stack test .* began at/);
      assert.match(said, /moved is not removed: it belongs to the resource after of stack test/);
      assert.doesNotMatch(said, /\n\s+at /);
      assert.equal((await slots()).length, 1);
      assert.equal(statusOf(await deploy("after", { triggerCutover: "true" }).up()).state, "Succeeded");
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
      assert((await deploy("after").destroy()).ok);
      assert.equal((await slots()).length, 0);
    });
  });
}
