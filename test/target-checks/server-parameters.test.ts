import assert from "node:assert/strict";
import { azureFlexibleServer } from "../../provider/src/platforms/azure";
import { connect } from "../../provider/src/postgres/connection/connect";
import { checkParameters, parameterProblems } from "../../provider/src/target-checks/server-parameters";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { startAzureLikeServer } from "../support/servers/azure-like";

const good = new Map([
  ["autovacuum", "on"],
  ["max_wal_size", "1024"],
  ["checkpoint_timeout", "600"],
  ["maintenance_work_mem", "65536"],
  ["track_io_timing", "on"],
  ["pg_stat_statements.track", "top"],
  ["pgbouncer.enabled", "true"],
]);

const codesWith = (name: string, value: string): string[] =>
  parameterProblems(new Map([...good, [name, value]]), azureFlexibleServer).map(
    ({ code, object }) => `${code} ${object}`,
  );

describe("the check of a target's parameters", () => {
  it("finds nothing wrong with recommended values", () =>
    assert.deepEqual(parameterProblems(good, azureFlexibleServer), []));

  for (const [code, name, value] of [
    ["PGM-821", "autovacuum", "off"],
    ["PGM-822", "max_wal_size", "65536"],
    ["PGM-822", "checkpoint_timeout", "3600"],
    ["PGM-822", "maintenance_work_mem", "2097151"],
    ["PGM-823", "pgbouncer.enabled", "false"],
    ["PGM-824", "track_io_timing", "off"],
    ["PGM-825", "pg_stat_statements.track", "none"],
  ] as const)
    it(`reports ${code} for ${name} = ${value}`, () => assert.deepEqual(codesWith(name, value), [`${code} ${name}`]));

  it("does not expect PgBouncer outside Azure, and reports a missing pg_stat_statements", () => {
    const values = new Map([...good].filter(([name]) => !name.includes(".")));
    const [problem, ...others] = parameterProblems(values, azureFlexibleServer);
    assert.deepEqual(others, []);
    assert.match(problem!.message, /^pg_stat_statements is not loaded/);
    assert.match(problem!.remedy!, /shared_preload_libraries, restart/);
  });

  it("has the platform's command as remedy, without a restart", () => {
    const [problem] = parameterProblems(new Map([...good, ["autovacuum", "off"]]), azureFlexibleServer);
    assert.equal(
      problem!.remedy,
      "az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name autovacuum --value on",
    );
  });

  it("reads the values of the server in the units of pg_settings, and not those of its own session", async () => {
    const { server, administrator } = await startAzureLikeServer({
      major: 14,
      parameters: {
        ...{ autovacuum: "off", max_wal_size: "64GB", checkpoint_timeout: "1h" },
        ...{ maintenance_work_mem: "2GB", "pgbouncer.enabled": "off", track_io_timing: "off" },
        shared_preload_libraries: "pg_stat_statements",
        "pg_stat_statements.track": "none",
      },
    });
    try {
      await server.query("ALTER DATABASE postgres SET default_transaction_read_only = on");
      const endpoint = { ...administrator, sslMode: "Disable" as const };
      const session = await connect(endpoint, { database: "postgres", purpose: "test" });
      const problems = await checkParameters(session);
      await session.end();
      assert.deepEqual(
        problems.map(({ code }) => code),
        ["PGM-302", "PGM-821", "PGM-822", "PGM-822", "PGM-822", "PGM-823", "PGM-824", "PGM-825"],
      );
      assert(problems.every(({ remedy }) => remedy!.includes("az postgres flexible-server")));
    } finally {
      await server.stop();
    }
  });

  it("reports a read-only target outside Azure with the commands of its own platform", async () => {
    const parameters = { default_transaction_read_only: "on" };
    const server = await EmbeddedServer.start({ major: 17, parameters });
    try {
      const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      const [problem] = await checkParameters(session);
      await session.end();
      assert.equal(problem!.code, "PGM-302");
      assert.doesNotMatch(`${problem!.message} ${problem!.remedy!}`, /azure/i);
      assert.match(problem!.remedy!, /ALTER SYSTEM SET default_transaction_read_only = '?off'?; SELECT pg_reload_conf/);
    } finally {
      await server.stop();
    }
  });
});
