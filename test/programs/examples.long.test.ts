import assert from "node:assert/strict";
import type { FleetSummary } from "pulumi-pg-migration";
import type { Host } from "../../tools/pulumi-host/host";
import { assertSameContent } from "../support/content";
import { ProgramScene, statusOf } from "../support/deploy-program";
import { errorsOf, hostNames } from "../support/pulumi-cli";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

for (const hostName of hostNames) {
  describe(`the example programs, deployed by the ${hostName} host`, () => {
    const scene = new ProgramScene();

    const deploy = (program: string, config: Record<string, string>, environment?: Record<string, string>): Host =>
      scene.deploy(hostName, { program, config, environment });

    it("examples/fleet: a failed member stops no other one, and up ends with an error that names it until it succeeds", async () => {
      const rows = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
      const database = await scene.lab.database(rows);
      const late = `${database}_late`;
      // One queue: the good member depends on the failed one.
      const host = deploy("examples/fleet", { dbsToMigrate: JSON.stringify([late, database]), concurrency: "1" });
      const first = await host.up();
      const failures = first.diagnostics.filter(({ severity }) => severity === "error").map(({ message }) => message);
      assert.equal(first.ok, false);
      assert.match(failures.join("\n"), /fleet: 1 of 2 migrations failed; .*\n {2}move-.*-late: .*ValidationFailed.*$/);
      const { succeeded, failed } = first.outputs.summary as unknown as FleetSummary;
      assert.deepEqual([succeeded, failed], [1, 1]);
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
      await scene.lab.source.query(`CREATE DATABASE ${late}`);
      await scene.lab.source.query(rows, { database: late });
      const second = await host.up();
      assert(second.ok, JSON.stringify(second.diagnostics));
      assert.equal((second.outputs.summary as unknown as FleetSummary).succeeded, 2);
      assert((await host.destroy()).ok);
    });

    it("examples/online: a killed worker is replaced at the next up --refresh, and the cutover is an update", async () => {
      const database = await scene.lab.database(Traffic.schema);
      const config = { dbsToMigrate: JSON.stringify([database]) };
      const traffic = Traffic.start(scene.lab.source, database, 2);
      const host = deploy("examples/online", config);
      try {
        const status = statusOf(await host.up());
        assert.equal(status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
        await traffic.forTransactions(50);
        process.kill(status.worker.pid!, "SIGKILL");
        await until("the killed worker has left its lease", async () => {
          const rows = await scene.lab.target.query("SELECT FROM pg_locks WHERE locktype = 'advisory'");
          return rows.length === 0;
        });
        await traffic.forTransactions(50);
        const successor = statusOf(await host.up({ refresh: true }));
        assert.equal(successor.worker.state, "running");
        assert.notEqual(successor.worker.pid, status.worker.pid);
      } finally {
        await traffic.stop();
      }
      const cutover = deploy("examples/online", { ...config, triggerCutover: "true" });
      assert.equal(statusOf(await cutover.up()).state, "Succeeded");
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
      assert((await cutover.destroy()).ok);
    });

    it("the root program takes everything from configuration", async () => {
      const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const config = { dbsToMigrate: JSON.stringify([database]), migrationName: "by-config", tags: '{"team": "crm"}' };
      // A password is never read as JSON.
      await scene.lab.source.query("CREATE ROLE braced LOGIN SUPERUSER PASSWORD '{braced'");
      const inputs = { sourceUser: "braced", tableJobs: "3", schemaOnly: "false", timeouts: '{"create": "10m"}' };
      const host = scene.deploy(hostName, {
        program: ".",
        config: { ...config, ...inputs },
        secretConfig: { sourcePassword: "{braced" },
      });
      assert.equal(statusOf(await host.up()).state, "Succeeded");
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
      assert((await host.destroy()).ok);
      const invalid = errorsOf(await deploy(".", { ...config, secretParameters: "{hidden text" }).preview());
      assert.match(invalid, /the configuration secretParameters is invalid JSON/);
      assert.doesNotMatch(invalid, /hidden/);
      // At the end, because the CLI keeps the key in the stack's configuration.
      const mistaken = await deploy(".", { ...config, tableJob: "3" }).preview();
      assert.match(errorsOf(mistaken), /tableJob\b.*unknown input; did you mean tableJobs\?/);
    });

    it("a migration that failed validation keeps its findings and resumes once they are fixed", async () => {
      const database = await scene.lab.database("CREATE TABLE t (id int PRIMARY KEY)");
      await scene.lab.target.query(`CREATE DATABASE ${database} OWNER ${scene.lab.administrator.user}`);
      const config = { dbsToMigrate: JSON.stringify([database]) };
      const refused = await deploy("examples/offline", config).up();
      assert.equal(refused.ok, false);
      assert.match(errorsOf(refused), /603101.*overwriteDbsInTarget to true/s);
      assert((await deploy("examples/offline", config).refresh()).ok, "what failed can be refreshed");
      const host = deploy("examples/offline", { ...config, overwriteDbsInTarget: "true" });
      assert.equal(statusOf(await host.up()).state, "Succeeded");
      assert((await host.destroy()).ok);
    });
  });
}
