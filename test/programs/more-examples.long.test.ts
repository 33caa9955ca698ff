import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { FleetSummary } from "pulumi-pg-migration";
import type { Host } from "../../tools/pulumi-host/host";
import { assertSameContent } from "../support/content";
import { assertFinding } from "../support/findings";
import { ProgramScene, statusOf } from "../support/deploy-program";
import { hostNames } from "../support/pulumi-cli";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

for (const hostName of hostNames) {
  describe(`further example programs, deployed by the ${hostName} host`, () => {
    const scene = new ProgramScene();

    const deploy = (program: string, databases: readonly string[], config: Record<string, string> = {}): Host =>
      scene.deploy(hostName, {
        program,
        config: { dbsToMigrate: JSON.stringify(databases), ...config },
      });

    const assertMigrated = (database: string) =>
      assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });

    it("examples/validate-only: reports findings and leaves the servers unchanged", async () => {
      const database = await scene.lab.database(table);
      const host = deploy("examples/validate-only", [database]);
      const result = await host.up();
      assert.equal(statusOf(result).state, "Succeeded");
      assert.equal((result.outputs.findings as { status: string }).status, "Succeeded");
      assert.deepEqual(await scene.lab.targetDatabases(), []);
      assert((await host.destroy()).ok);
    });

    it("examples/several-databases: cuts over one database after the other", async () => {
      const databases = [await scene.lab.database(table), await scene.lab.database(table)];
      assert.equal(statusOf(await deploy("examples/several-databases", databases).up()).state, "WaitingForUserAction");
      const first = deploy("examples/several-databases", databases, { cutOver: JSON.stringify([databases[0]]) });
      assert.equal(statusOf(await first.up()).state, "WaitingForUserAction");
      const both = deploy("examples/several-databases", databases, { cutOver: JSON.stringify(databases) });
      assert.equal(statusOf(await both.up()).state, "Succeeded");
      for (const database of databases) await assertMigrated(database);
      assert((await both.destroy()).ok);
    });

    it("examples/filters: migrates a part of a database under another name and reports skipped objects", async () => {
      const database = await scene.lab.database(`
        CREATE SCHEMA sales; CREATE SCHEMA crm_eu; CREATE SCHEMA hr;
        CREATE TABLE hr.person (id int PRIMARY KEY); INSERT INTO hr.person VALUES (1);
        CREATE TABLE sales.orders (id int PRIMARY KEY, seller int REFERENCES hr.person); INSERT INTO sales.orders VALUES (1, 1);
        CREATE TABLE sales.orders_staging (id int PRIMARY KEY); CREATE TABLE sales.audit_log (id int PRIMARY KEY);
        CREATE TABLE crm_eu.lead (id int PRIMARY KEY); INSERT INTO crm_eu.lead VALUES (7)`);
      const host = deploy("examples/filters", [], { database });
      const result = await host.up();
      assert.equal(statusOf(result).state, "Succeeded");
      assertFinding(statusOf(result), /orders_seller_fkey/);
      assert.deepEqual((result.outputs.connection as { databases: string[] }).databases, [`${database}_eu`]);
      const tables = await scene.lab.target.query<{ name: string }>(
        `SELECT schemaname || '.' || tablename AS name FROM pg_tables
          WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
        { database: `${database}_eu` },
      );
      assert.deepEqual(
        tables.map(({ name }) => name).filter((name) => !name.startsWith("pgmigration.")),
        ["crm_eu.lead", "sales.orders"],
      );
      assert((await host.destroy()).ok);
    });

    it("examples/from-arm-body: takes Azure's keys, warns about the misplaced one, and keeps passwords out of the state", async () => {
      const database = await scene.lab.database(table);
      const host = deploy("examples/from-arm-body", [database]);
      const result = await host.up();
      assert.equal(statusOf(result).state, "Succeeded");
      assert.deepEqual((result.outputs.connection as { databases: string[] }).databases, [database]);
      await assertMigrated(database);
      if (hostName === "embedded") {
        const state = await readFile(join(scene.directory, "state.json"), "utf8");
        assert(!state.includes(scene.lab.source.login.password) && !state.includes(scene.lab.administrator.password));
      }
      assert((await host.destroy()).ok);
    });

    it("examples/fleet: migrates a list of databases in parallel and reports a summary", async () => {
      const databases = [
        await scene.lab.database(table),
        await scene.lab.database(table),
        await scene.lab.database(table),
      ];
      const host = deploy("examples/fleet", databases);
      const result = await host.up();
      assert(result.ok, JSON.stringify(result.diagnostics));
      const { total, succeeded, failed, rowsCopied } = result.outputs.summary as unknown as FleetSummary;
      assert.deepEqual([total, succeeded, failed, rowsCopied], [3, 3, 0, 300]);
      for (const database of databases) await assertMigrated(database);
      const [overlap] = await scene.lab.target.query<{ most: number }>(
        `SELECT max(at_once)::int AS most FROM (SELECT count(*) AS at_once FROM pgmigration.migration one
           JOIN pgmigration.migration other ON one.started_at <@ tstzrange(other.started_at, other.ended_at)
          GROUP BY one.name) AS counted`,
      );
      assert(overlap!.most <= 2, `${overlap!.most} at once, where the example allows 2`);
      assert((await host.destroy()).ok);
    });

    it("examples/external-worker: waits until an external worker has migrated the database", async () => {
      const database = await scene.lab.database(table);
      const host = deploy("examples/external-worker", [database]);
      const deployed = host.up();
      await until("the spec is recorded", async () => {
        const [row] = await scene.lab.target.query<{ found: boolean }>(
          "SELECT to_regclass('pgmigration.migration') IS NOT NULL AS found",
        );
        return row!.found && (await scene.lab.target.query("SELECT FROM pgmigration.migration")).length === 1;
      });
      const job = { migrationName: "externalworker", source: scene.lab.source.login, target: scene.lab.administrator };
      const worker = spawn(process.execPath, [resolve("provider/dist/bundles/worker.js")], {
        env: { PATH: process.env.PATH, PG_MIGRATION_JOB: JSON.stringify(job) },
        stdio: "ignore",
      });
      const exited = once(worker, "exit");
      assert.equal(statusOf(await deployed).state, "Succeeded");
      await exited;
      await assertMigrated(database);
      assert((await host.destroy()).ok);
    });

    for (const kind of ["commonjs", "esm", "esm-typescript"])
      it(`runs a program in ${kind}`, async () => {
        const database = await scene.lab.database(table);
        const host = deploy(`test/programs/${kind}`, [database]);
        assert.equal(statusOf(await host.up()).state, "Succeeded");
        await assertMigrated(database);
        assert((await host.destroy()).ok);
      });
  });
}
