import assert from "node:assert/strict";
import type { Finding } from "../../provider/dist/findings.js";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { validate } from "../../provider/src/validation/validate";
import { CommandLine } from "../cli/command";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { freePort } from "../support/servers/embedded-server";

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly remedy?: string;
}

describe("advice for a source that is not ready", () => {
  let lab: Lab;
  let command: CommandLine;
  let database: string;
  const rds = /aws rds modify-db-parameter-group .*rds\.logical_replication,ParameterValue=1.*reboot-db-instance/;

  before(async () => {
    const parameters = { wal_level: "replica", max_replication_slots: 1 };
    const hba = ["host all banned 127.0.0.1/32 reject"];
    lab = await Lab.start({ source: { parameters, hba } });
    command = await CommandLine.in(lab);
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.source.query("CREATE ROLE copier LOGIN PASSWORD 'copier'; GRANT pg_read_all_data TO copier");
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  const copier = { PG_MIGRATION_SOURCE_USER: "copier", PG_MIGRATION_SOURCE_PASSWORD: "copier" };

  async function findings(
    sourceType: string | undefined,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Finding[]> {
    const type = sourceType === undefined ? [] : ["--source-type", sourceType];
    const flags = ["--migration-mode", "Online", ...type, "-o", "json"];
    const { stdout } = await command.run(["validate", "--databases", database, ...flags], environment);
    return JSON.parse(stdout) as Finding[];
  }

  const remedyOf = (found: readonly Finding[], object: string): string | undefined =>
    found.find((finding) => finding.object === object)?.remedy;

  it("is that of sourceType in validate, and includes the role", async () => {
    const found = await findings("AWS_RDS", copier);
    assert.match(remedyOf(found, "wal_level")!, rds);
    assert.match(remedyOf(found, "max_replication_slots")!, /ParameterName=max_replication_slots,ParameterValue=2/);
    assert.equal(remedyOf(found, "copier"), 'GRANT rds_replication TO "copier"');
  });

  it("is that of sourceType in doctor", async () => {
    const { code, stdout } = await command.run(["doctor", "--source-type", "AWS_RDS", "-o", "json"], copier);
    assert.equal(code, 6);
    const checks = JSON.parse(stdout) as Check[];
    const remedyFor = (name: string) => checks.find(({ check, ok }) => check === name && !ok)?.remedy;
    assert.match(remedyFor("wal_level")!, rds);
    assert.equal(remedyFor("role copier"), 'GRANT rds_replication TO "copier"');
  });

  it("is that of sourceType in a deployment", async () => {
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.onlineInputs([database], { sourceType: "GCP_CloudSQL" })));
    assert.match(text, /To do:[^]*--database-flags=cloudsql\.logical_decoding=on,<present flags>/);
    await resource.destroy();
  });

  it("is that of the platform that the server shows, in doctor and in validate", async () => {
    await lab.source.query("CREATE ROLE doadmin");
    try {
      const { stdout } = await command.run(["doctor"], copier);
      assert.match(stdout, /^platform +DigitalOcean Managed Databases/m);
      assert.match(stdout, /doctl databases configuration update/);
      assert.match(remedyOf(await findings(undefined, copier), "max_replication_slots")!, /^doctl /);
    } finally {
      await lab.source.query("DROP ROLE doadmin");
    }
  });

  it("is that of the service where setupLogicalReplicationOnSourceDbIfNeeded lacks a privilege", async () => {
    const setUp = { setupLogicalReplicationOnSourceDbIfNeeded: true };
    const source = { ...lab.source.login, user: "copier", password: "copier" };
    const resource = new Resource();
    const inputs = lab.onlineInputs([database], { ...setUp, source, sourceType: "AWS_AURORA" });
    const text = await Resource.failure(resource.create(inputs));
    assert.match(text, /copier may not set it[^]*modify-db-cluster-parameter-group/);
    await resource.destroy();
  });

  it("is only that Heroku Postgres cannot be migrated online", async () => {
    const replication = (await findings("Heroku_PostgreSQL")).filter(
      ({ type }) => type === "ServerParametersValidation",
    );
    assert.deepEqual(
      replication.map(({ state, message }) => [state, message]),
      [["Failed", "Heroku Postgres does not support logical replication, so the source cannot be migrated online"]],
    );
    assert.match(replication[0]!.remedy!, /migrationMode to Offline/);
  });

  it("names the schemas of the service, unless a filter omits them", async () => {
    await lab.source.query("CREATE ROLE supabase_admin");
    const own = await lab.database("CREATE SCHEMA auth; CREATE SCHEMA storage; CREATE SCHEMA shop");
    const source = { ...lab.source.login, user: "copier", password: "copier" };
    const schemasIn = async (changes: object): Promise<string | undefined> => {
      const inputs = parseInputs(lab.inputs([own], { source, ...changes }));
      const { source: from, target } = inputs;
      const databases = { ownDatabases: new Set<string>(), occupied: new Map<string, string>() };
      const found = await validate({ spec: specOf(inputs), source: from, target, ...databases });
      return found.find(({ code }) => code === "PGM-213")?.message;
    };
    try {
      assert.equal(await schemasIn({}), "Supabase created these schemas for itself: auth, storage");
      assert.match((await schemasIn({ exclude: { schemas: ["au*"] } }))!, /: storage$/);
      assert.equal(await schemasIn({ include: { schemas: ["shop"] } }), undefined);
    } finally {
      await lab.source.query("DROP ROLE supabase_admin");
    }
  });

  it("opens the service's firewall if the source does not answer", async () => {
    const port = await freePort();
    const silent = { PG_MIGRATION_SOURCE_PORT: String(port) };
    const access = new RegExp(`authorize-security-group-ingress .*--port ${port} --cidr <address of the worker>/32`);
    assert.match((await findings("AWS_RDS", silent))[0]!.remedy!, access);
    assert.match((await command.run(["doctor", "--source-type", "AWS_RDS"], silent)).stderr, access);
  });

  it("lets in the address that pg_hba.conf refuses", async () => {
    await lab.source.query("CREATE ROLE banned LOGIN PASSWORD 'banned'");
    const banned = { PG_MIGRATION_SOURCE_USER: "banned", PG_MIGRATION_SOURCE_PASSWORD: "banned" };
    const [service] = await findings("PostgreSQLFlexibleServer", banned);
    assert.match(service!.remedy!, /flexible-server firewall-rule create .*--start-ip-address 127\.0\.0\.1/);
    const [own] = await findings("OnPremises", banned);
    assert.match(own!.remedy!, /host all,replication "banned" 127\.0\.0\.1\/32 scram-sha-256/);
  });
});
