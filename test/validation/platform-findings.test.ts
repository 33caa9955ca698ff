import assert from "node:assert/strict";
import type { Finding } from "../../provider/src/findings";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import type { Filter } from "../../provider/src/inputs/filter";
import { specOf } from "../../provider/src/inputs/inputs";
import { forkPackages } from "../../provider/src/validation/objects/fork-packages";
import { findingText, findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { problemsOf } from "./problems-of";

/** Catalogue objects of extensions and forks that the test servers do not have. */
const standIns = {
  cron: `CREATE SCHEMA cron; CREATE TABLE cron.job (jobid bigint, schedule text, command text, active bool);
    INSERT INTO cron.job VALUES (1, '0 3 * * *', 'VACUUM', true), (2, '5 * * * *', 'SELECT 1', false)`,
  partman:
    "CREATE SCHEMA partman; CREATE TABLE partman.part_config (parent_table text); INSERT INTO partman.part_config VALUES ('public.log')",
  timescale: `CREATE SCHEMA _timescaledb_catalog; CREATE TABLE _timescaledb_catalog.hypertable (schema_name name, table_name name);
    CREATE TABLE metrics (at timestamptz); INSERT INTO _timescaledb_catalog.hypertable VALUES ('public', 'metrics')`,
  citus: `SET allow_system_table_mods = on; CREATE TABLE events (id int PRIMARY KEY);
    CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass); INSERT INTO pg_dist_partition VALUES ('events')`,
  edb: `SET allow_system_table_mods = on;
    INSERT INTO pg_type (SELECT (json_populate_record(t, '{"oid": 15998, "typname": "varchar2", "typarray": 0}')).* FROM pg_type t WHERE typname = 'varchar');
    CREATE SCHEMA "odd ""name"; CREATE TABLE "odd ""name".orders (id int PRIMARY KEY, note varchar2)`,
  azure:
    "CREATE EXTENSION tablefunc; UPDATE pg_extension SET extname = 'pgaadauth' WHERE extname = 'tablefunc'; CREATE TABLE t (id int PRIMARY KEY)",
};

describe("the validation of sources with extensions of services", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  async function findings(
    sql: string,
    code: string,
    changes: Record<string, unknown> = {},
  ): Promise<readonly Finding[]> {
    const database = await lab.database(sql);
    return (await problemsOf(lab.inputs([database], changes))).filter((finding) => finding.code === code);
  }

  it("lists active jobs of pg_cron", async () => {
    const [finding] = await findings(standIns.cron, "PGM-442");
    assert.match(finding!.message, /^pg_cron has jobs in \w+: 1 \(0 3 \* \* \*\); /);
    assert.match(finding!.remedy!, /UPDATE cron\.job SET active = false/);
  });

  it("lists tables that pg_partman maintains", async () => {
    const [finding] = await findings(standIns.partman, "PGM-442");
    assert.match(finding!.message, /^pg_partman has jobs in \w+: public\.log; /);
  });

  it("does not read a job table of another role than a superuser", async () => {
    await lab.source.query("CREATE ROLE tenant");
    assert.deepEqual(await findings(`${standIns.cron}; ALTER TABLE cron.job OWNER TO tenant`, "PGM-442"), []);
  });

  it("refuses hypertables of TimescaleDB, unless they are excluded", async () => {
    const [finding] = await findings(standIns.timescale, "PGM-443");
    assert.equal(finding?.state, "Failed");
    assert.match(finding.message, /public\.metrics$/);
    assert.deepEqual(await findings(standIns.timescale, "PGM-443", { exclude: { tables: ["metrics"] } }), []);
  });

  it("refuses distributed tables of Citus online, and warns about them offline", async () => {
    const [online] = await findings(standIns.citus, "PGM-444", { migrationMode: "Online" });
    assert.equal(online?.state, "Failed");
    assert.match(online.message, /Citus: public\.events; the coordinator's WAL does not contain their changes$/);
    assert.equal((await findings(standIns.citus, "PGM-444"))[0]?.state, "Warning");
  });

  it("refuses columns with built-in types of a fork", async () => {
    const [finding] = await findings(standIns.edb, "PGM-445");
    assert.match(finding!.message, /"odd ""name"\.orders\.note \(varchar2\)$/);
  });

  it("lists packages of EDB, unless their schema is excluded", async () => {
    // The catalogue of PostgreSQL cannot get EDB's columns. The rule reads a table with them instead.
    const database = await lab.database(
      `CREATE SCHEMA "Sales"; CREATE SCHEMA billing; CREATE SCHEMA package_trigger; CREATE SCHEMA stand_in;
       CREATE TABLE stand_in.pg_namespace AS
         SELECT *, 0::oid AS nspparent, 0::oid AS nspobjecttype, false AS nspcompoundtrigger FROM pg_catalog.pg_namespace;
       UPDATE stand_in.pg_namespace SET nspparent = '"Sales"'::regnamespace WHERE nspname IN ('billing', 'package_trigger');
       UPDATE stand_in.pg_namespace SET nspcompoundtrigger = true WHERE nspname = 'package_trigger'`,
    );
    const client = await lab.source.connect(database);
    try {
      const listed = (exclude: Filter): Promise<Finding[]> => {
        const spec = specOf(parseInputs(lab.inputs([database], { exclude })));
        const versions = { sourceVersion: 140000, targetVersion: 170000, targetSuperuser: false };
        return Promise.resolve(forkPackages({ ...versions, spec, sources: new Map([[database, client]]) }));
      };
      assert.deepEqual(await listed({}), [], "PostgreSQL itself has no packages");
      const query = client.query.bind(client) as (sql: string, values?: unknown[]) => Promise<unknown>;
      Object.assign(client, {
        query: (sql: string, values?: unknown[]) =>
          query(sql.replace("FROM pg_namespace p ", "FROM stand_in.pg_namespace p "), values),
      });
      const [finding] = await listed({});
      assert.equal(finding?.code, "PGM-448");
      assert.match(finding.message, /: "Sales"\.billing$/);
      assert.deepEqual(await listed({ schemas: ["Sales"] }), []);
    } finally {
      await client.end();
    }
  });

  it("names user mappings whose options the role may not read", async () => {
    const database = await lab.database(`CREATE EXTENSION postgres_fdw; CREATE ROLE reader LOGIN PASSWORD 'r';
      CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw;
      CREATE USER MAPPING FOR postgres SERVER remote OPTIONS (user 'u', password 'p')`);
    const source = { ...lab.source.login, user: "reader", password: "r", sslMode: "Disable" };
    const problems = await problemsOf(lab.inputs([database], { source }));
    assert.match(problems.find(({ code }) => code === "PGM-446")!.message, /postgres on server remote$/);
    const superuser = await problemsOf(lab.inputs([database]));
    assert(!superuser.some(({ code }) => code === "PGM-446"));
  });

  it("leaves out the extensions of a flexible server, and asks for no allow-list", async () => {
    const database = await lab.database(standIns.azure);
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database]));
    assert.equal(status.state, "Succeeded");
    const codes = findingsOf(status, database).map(({ code }) => code);
    assert(codes.includes("PGM-447"), findingsOf(status, database).map(findingText).join("\n"));
    assert(!codes.includes("603405") && !codes.includes("603108"));
    await resource.destroy();
  });
});
