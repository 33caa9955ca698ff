import assert from "node:assert/strict";
import type { Problem } from "../../provider/dist/findings.js";
import { Lab } from "../support/lab";
import { reportOf } from "../support/report";
import { Resource } from "../support/resource";
import { CommandLine } from "./command";

describe("pg-migration check-target", () => {
  let lab: Lab;
  let command: CommandLine;
  const resource = new Resource();
  let database: string;
  let name: string;

  before(async () => {
    const preload = { shared_preload_libraries: "pg_stat_statements" };
    const parameters = { ...preload, track_io_timing: "on" };
    lab = await Lab.start({ source: { parameters: preload }, target: { parameters } });
    command = await CommandLine.in(lab);
    database = await lab.database("CREATE TABLE waits (seconds float8); INSERT INTO waits VALUES (0)");
    await resource.create(lab.inputs([database], { databaseNames: { [database]: "renamed" } }));
    name = resource.inputs.migrationName as string;
  });

  after(async () => {
    await resource.destroy();
    await command.close();
    await lab.stop();
  });

  const check = (...flags: string[]): ReturnType<CommandLine["run"]> =>
    command.run(["check-target", "--name", name, ...flags], { PG_MIGRATION_SOURCE_PASSWORD: undefined });

  it("finds nothing in a database that was just migrated", async () => {
    const { code, stdout, stderr } = await check("-o", "json");
    assert.deepEqual([code, JSON.parse(stdout)], [0, []]);
    assert.match(stderr, /^the times of queries are not compared: password: missing for postgres@/);
  });

  it("prints warnings with their remedies and exits with 0", async () => {
    await lab.queryTarget("renamed", "CREATE TABLE late (v int); ALTER TABLE late ADD CHECK (v > 0) NOT VALID");
    const { code, stdout } = await check();
    assert.equal(code, 0);
    assert.match(stdout, /^Warning +PGM-814 +renamed +public\.late /m);
    assert.match(stdout, /\nTo do:\n {2}PGM-814: ALTER TABLE "public"\."late" VALIDATE CONSTRAINT "late_v_check"\n/);
    await lab.queryTarget("renamed", "DROP TABLE late");
  });

  it("exits with 6 if a finding has failed", async () => {
    await lab.queryTarget("renamed", "CREATE TABLE late (v int); INSERT INTO late VALUES (1), (1); ANALYZE late");
    await assert.rejects(lab.queryTarget("renamed", "CREATE UNIQUE INDEX CONCURRENTLY late_v ON late (v)"));
    const { code, stdout } = await check("-o", "json");
    assert.equal(code, 6);
    const [problem] = JSON.parse(stdout) as Problem[];
    assert.deepEqual([problem!.code, problem!.remedy], ["PGM-812", 'REINDEX INDEX CONCURRENTLY "public"."late_v"']);
    const { targetCheck } = await reportOf(lab, resource);
    assert.equal(targetCheck?.isComplete, true);
    assert.deepEqual(
      targetCheck.problems.map((one) => [one.severity, one.code, one.remedy]),
      [["Failed", "PGM-812", problem!.remedy]],
    );
    const html = await command.run(["report", "--name", name, "-o", "html"]);
    assert.match(html.stdout, /<section id="target-check">[^]*PGM-812/);
  });

  it("compares the times of queries, if both sides have recorded them", async () => {
    const without = await command.run(["check-target", "--name", name]);
    assert.match(without.stderr, /pg_stat_statements is not installed in db_\w+ on the source, or not loaded/);
    await lab.querySource(database, "CREATE EXTENSION pg_stat_statements");
    await lab.target.query("CREATE EXTENSION pg_stat_statements", { database: "renamed" });
    await lab.queryTarget("renamed", "UPDATE waits SET seconds = 0.2");
    const query = "SELECT pg_sleep(seconds) FROM waits WHERE seconds <> 7";
    await lab.querySource(database, "SELECT pg_stat_statements_reset()");
    for (let i = 0; i < 100; i++) await lab.querySource(database, query);
    for (let i = 0; i < 10; i++) await lab.queryTarget("renamed", query);
    const { stdout, stderr } = await command.run(["check-target", "--name", name, "-o", "json"]);
    assert.equal(stderr, "");
    const slower = (JSON.parse(stdout) as Problem[]).filter(({ code }) => code === "PGM-831");
    assert.deepEqual(
      slower.map((one) => [one.database, one.remedy]),
      [
        [
          "renamed",
          "compare the plans on both servers, with values for the placeholders: EXPLAIN SELECT pg_sleep(seconds) FROM waits WHERE seconds <> $1",
        ],
      ],
    );
    assert.match(slower[0]!.message, /instead of \d+\.\d{3} ms \(100 calls\)/);
  });

  it("reports that Azure does not show the storage of a target whose resource id is known", async () => {
    const id =
      "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.DBforPostgreSQL/flexibleServers/prod";
    await lab.target.query(
      "UPDATE pgmigration.migration SET spec = jsonb_set(spec, '{targetDbServerResourceId}', to_jsonb($2::text)) WHERE name = $1",
      { values: [name, id] },
    );
    const access = { AZURE_TOKEN_CREDENTIALS: "EnvironmentCredential" };
    const { code, stderr } = await command.run(["check-target", "--name", name], access);
    assert.equal(code, 6, "the other checks have run");
    assert.match(stderr, /^the storage is not checked: .*Microsoft Entra issues no token: /m);
  });

  it("exits with 3 for an unknown migration", async () => {
    assert.equal((await command.run(["check-target", "--name", "none"])).code, 3);
  });
});
