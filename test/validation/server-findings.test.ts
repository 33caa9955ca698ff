import assert from "node:assert/strict";
import type { Finding } from "../../provider/src/findings";
import { parameterCommands } from "../../provider/src/platforms/platform";
import { amazonRds } from "../../provider/src/platforms/aws";
import { walRetentionFindings } from "../../provider/src/validation/replication/wal-retention";
import { Lab } from "../support/lab";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { problemsOf } from "./problems-of";

const byCode = (findings: readonly Finding[], code: string): Finding | undefined =>
  findings.find((finding) => finding.code === code);

describe("the validation of both servers", () => {
  let lab: Lab;
  let database: string;

  before(async () => {
    lab = await Lab.start({
      source: { parameters: { shared_preload_libraries: "pg_stat_statements", max_slot_wal_keep_size: "2MB" } },
      target: { extensions: ["PG_STAT_STATEMENTS", "HSTORE", "ADMINPACK"], major: 16 },
    });
    database = await lab.database("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION hstore SCHEMA pg_catalog");
    await lab.target.query("CREATE ROLE plain LOGIN CREATEDB PASSWORD 'plain'; GRANT CREATE ON SCHEMA public TO plain");
  });

  after(() => lab.stop());

  const asPlain = (): Record<string, unknown> => ({
    target: { ...lab.administrator, user: "plain", password: "plain", sslMode: "Disable" },
  });

  it("reports a library that the target has not loaded as 603109", async () => {
    const finding = byCode(await problemsOf(lab.inputs([database])), "603109");
    assert.equal(finding?.state, "Warning");
    assert.match(finding.message, /lacks the libraries of extensions .*: pg_stat_statements$/);
    assert.match(finding.remedy!, /--name shared_preload_libraries --value pg_stat_statements, then restart/);
  });

  it("reports another version of PostGIS as 603406", async () => {
    // The servers of the tests do not have PostGIS. Their catalogues act as if they had.
    const spatial = await lab.database(
      "CREATE EXTENSION hstore; UPDATE pg_extension SET extname = 'postgis', extversion = '2.5.9' WHERE extname = 'hstore'",
    );
    await lab.target.query(
      `SET allow_system_table_mods = on;
       CREATE OR REPLACE VIEW pg_catalog.pg_available_extensions AS
         SELECT e.name, e.default_version, x.extversion AS installed_version, e.comment
           FROM pg_available_extensions() e LEFT JOIN pg_extension x ON x.extname = e.name
         UNION ALL SELECT 'postgis', '3.5.0', NULL, NULL;
       CREATE OR REPLACE VIEW pg_catalog.pg_available_extension_versions AS
         SELECT e.name, e.version, x.extname IS NOT NULL AS installed, e.superuser, e.trusted, e.relocatable, e.schema,
                e.requires, e.comment
           FROM pg_available_extension_versions() e LEFT JOIN pg_extension x ON x.extname = e.name AND x.extversion = e.version
         UNION ALL SELECT 'postgis', '3.5.0', false, true, false, true, NULL, NULL, NULL`,
    );
    const finding = byCode(await problemsOf(lab.inputs([spatial])), "603406");
    assert.equal(finding?.state, "Warning");
    assert.match(finding.message, /postgis 3\.5\.0 instead of 2\.5\.9$/);
  });

  it("reports collations of columns and of users as 603402 and 603403, and casts as 603409", async () => {
    // The catalogues act as if the servers had other locales.
    const odd = await lab.database(
      `CREATE TABLE t (v text COLLATE ucs_basic); CREATE CAST (json AS xml) WITH INOUT;
       CREATE COLLATION odd (LC_COLLATE = 'C', LC_CTYPE = 'C');
       UPDATE pg_collation SET collcollate = 'xx_XX', collctype = 'xx_XX' WHERE collname = 'odd'`,
    );
    const rename = (from: string, to: string): Promise<unknown> =>
      lab.target.query(`SET allow_system_table_mods = on;
                        UPDATE pg_collation SET collname = '${to}' WHERE collname = '${from}'`);
    await rename("ucs_basic", "hidden");
    const findings = await problemsOf(lab.inputs([odd])).finally(() => rename("hidden", "ucs_basic"));
    assert.match(byCode(findings, "603402")!.message, /: public\.t\.v \(ucs_basic\)$/);
    assert.match(byCode(findings, "603403")!.message, /: public\.odd$/);
    assert.match(byCode(findings, "603409")!.message, /: json AS xml$/);
  });

  it("reports privileges on system catalogues as 603410, and languages without an extension as 603413", async () => {
    const system = await lab.database(
      "GRANT SELECT ON pg_catalog.pg_authid TO pg_monitor; CREATE LANGUAGE odd HANDLER plpgsql_call_handler",
    );
    const findings = await problemsOf(lab.inputs([system]));
    assert.match(byCode(findings, "603410")!.message, /pg_authid/);
    assert.match(byCode(findings, "603413")!.message, /languages without an extension .*: odd$/);
  });

  it("reports tables WITH OIDS as 603404", async () => {
    const source = await EmbeddedServer.start({ major: 10 });
    try {
      await source.query("CREATE DATABASE old");
      await source.query("CREATE TABLE numbered (id int) WITH OIDS", { database: "old" });
      const findings = await problemsOf(lab.inputs(["old"], { source: { ...source.login, sslMode: "Disable" } }));
      assert.match(byCode(findings, "603404")!.message, /: public\.numbered; their oid column is not migrated$/);
    } finally {
      await source.stop();
    }
  });

  it("reports an extension in a system schema as 603407, unless a filter excludes it", async () => {
    const finding = byCode(await problemsOf(lab.inputs([database])), "603407");
    assert.match(finding!.message, /system schema.*: hstore$/);
    const without = await problemsOf(lab.inputs([database], { exclude: { extensions: ["hstore"] } }));
    assert.equal(byCode(without, "603407"), undefined);
  });

  it("accepts an extension that requires a system schema by itself", async () => {
    const own = await lab.database("CREATE EXTENSION adminpack");
    assert.equal(byCode(await problemsOf(lab.inputs([own])), "603407"), undefined);
  });

  it("reports a role outside of azure_pg_admin as 603115", async () => {
    assert.equal(byCode(await problemsOf(lab.inputs([database], asPlain())), "603115")?.state, "Warning");
    assert.equal(byCode(await problemsOf(lab.inputs([database])), "603115"), undefined);
  });

  it("reports a role without CREATEROLE as 603116, only with migrateRoles", async () => {
    const finding = byCode(await problemsOf(lab.inputs([database], { ...asPlain(), migrateRoles: true })), "603116");
    assert.equal(finding?.state, "Failed");
    assert.equal(byCode(await problemsOf(lab.inputs([database], asPlain())), "603116"), undefined);
  });

  it("reports sessions that it may not terminate in a database to replace as 603111", async () => {
    await lab.target.query(`CREATE ROLE visitor LOGIN PASSWORD 'v'`);
    await lab.target.query(`CREATE DATABASE ${database} OWNER plain`);
    const visiting = { ...asPlain(), overwriteDbsInTarget: true };
    const session = await lab.target.connect(database, { user: "visitor", password: "v" });
    try {
      const finding = byCode(await problemsOf(lab.inputs([database], visiting)), "603111");
      assert.match(finding!.message, new RegExp(`sessions of visitor in ${database}`));
    } finally {
      await session.end();
    }
    assert.equal(byCode(await problemsOf(lab.inputs([database], visiting)), "603111"), undefined);
    await lab.target.query(`DROP DATABASE ${database}`);
  });

  it("reports roles of Microsoft Entra that the target lacks as 603103", async () => {
    await lab.source.query('CREATE ROLE azure_ad_user; CREATE ROLE "ada@contoso.com" LOGIN IN ROLE azure_ad_user');
    const inputs = lab.inputs([database], { migrateRoles: true });
    const finding = byCode(await problemsOf(inputs), "603103");
    assert.equal(finding?.state, "Failed");
    assert.match(finding.remedy!, /pgaadauth_create_principal\('ada@contoso.com', false, false\)/);
    await lab.target.query('CREATE ROLE "ada@contoso.com"');
    assert.equal(byCode(await problemsOf(inputs), "603103"), undefined);
  });

  it("refuses a source that takes the migration for a synchronous standby, only online", async () => {
    const setNames = (names: string): Promise<unknown> =>
      lab.source
        .query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
        .then(() => lab.source.query("SELECT pg_reload_conf(), pg_sleep(0.2)"));
    const online = lab.inputs([database], { migrationMode: "Online" });
    // Without a standby, a commit of this test's own sessions would wait for it.
    await lab.source.query("ALTER ROLE ALL SET synchronous_commit = local");
    try {
      await setNames("FIRST 1 (*)");
      const finding = byCode(await problemsOf(online), "PGM-214");
      assert.equal(finding?.state, "Failed");
      assert.match(finding.message, /FIRST 1 \(\*\)/);
      assert.equal(byCode(await problemsOf(lab.inputs([database])), "PGM-214"), undefined);
      await setNames("standby1");
      assert.equal(byCode(await problemsOf(online), "PGM-214"), undefined);
    } finally {
      await setNames("");
      await lab.source.query("ALTER ROLE ALL RESET synchronous_commit");
    }
  });

  it("names no excluded table among those whose changes are not replicated in full", async () => {
    const database = await lab.database(
      "CREATE TABLE kept (v text); CREATE TABLE left_out (v text); CREATE UNLOGGED TABLE u (v text)",
    );
    const problems = await problemsOf({ ...lab.onlineInputs([database]), exclude: { tables: ["left_out", "u"] } });
    assert.equal(byCode(problems, "PGM-205")?.object, "public.kept");
    assert.equal(byCode(problems, "PGM-206"), undefined);
  });

  it("reports max_slot_wal_keep_size below the size of the databases, only online", async () => {
    const finding = byCode(await problemsOf(lab.onlineInputs([database])), "PGM-210");
    assert.match(finding!.message, /^max_slot_wal_keep_size is 2\.0 MB on the source, and \d+\.\d MB are copied/);
    assert.equal(byCode(await problemsOf(lab.inputs([database])), "PGM-210"), undefined);
  });
});

describe("findings about retained WAL", () => {
  const gigabyte = 1024 ** 3;
  const cases = [
    { title: "a limit of the source below the databases", databases: 20, keep: 5, code: "PGM-210" },
    { title: "a limit of the source above the databases", databases: 20, keep: 30 },
    { title: "no limit for large databases", databases: 20, code: "PGM-211" },
    { title: "maxRetainedWal for large databases", databases: 20, limit: 5 },
    { title: "no limit for small databases", databases: 1 },
  ];

  for (const { title, databases, keep, limit, code } of cases)
    it(`${code ?? "nothing"} for ${title}`, () => {
      const found = walRetentionFindings({
        databaseBytes: databases * gigabyte,
        keepBytes: keep && keep * gigabyte,
        limitBytes: limit && limit * gigabyte,
        walBytes: gigabyte,
        platform: amazonRds,
      });
      assert.deepEqual(
        found.map((finding) => finding.code),
        code ? [code] : [],
      );
    });

  it("name a limit that is enough, with the commands of the source's platform", () => {
    const sizes = { databaseBytes: 12.9 * gigabyte, limitBytes: undefined, walBytes: undefined, platform: amazonRds };
    const [finding] = walRetentionFindings({ ...sizes, keepBytes: gigabyte });
    const commands = parameterCommands(amazonRds, [{ name: "max_slot_wal_keep_size", value: "13210" }]);
    assert.equal(finding!.remedy, `on the source, if its disk has room: ${commands}`);
    assert.deepEqual(walRetentionFindings({ ...sizes, keepBytes: 13210 * 1024 ** 2 }), []);
  });

  it("name the size of pg_wal, and what SQL cannot read", () => {
    const sizes = { databaseBytes: 20 * gigabyte, keepBytes: undefined, limitBytes: undefined, platform: amazonRds };
    const [known] = walRetentionFindings({ ...sizes, walBytes: gigabyte });
    assert.match(known!.message, /pg_wal has 1\.0 GB now; SQL cannot read how much space is free/);
    const [unknown] = walRetentionFindings({ ...sizes, walBytes: undefined });
    assert.doesNotMatch(unknown!.message, /pg_wal has/);
  });
});
