import assert from "node:assert/strict";
import type { SourceType } from "../../provider/src/inputs/inputs";
import { detectPlatform } from "../../provider/src/platforms/detect-platform";
import { EmbeddedServer } from "../support/servers/embedded-server";

interface Scene {
  readonly name: string;
  /** Creates what the service has. */
  readonly sql?: string;
  readonly role?: string;
  readonly parameter?: string;
  readonly database?: string;
}

const scenes: readonly Scene[] = [
  { name: "Amazon RDS", parameter: "rds.logical_replication" },
  { name: "Amazon RDS", role: "rds_superuser" },
  {
    name: "Amazon Aurora",
    sql: "SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql AS $$SELECT '16.2'::text$$",
    parameter: "rds.logical_replication",
  },
  { name: "Cloud SQL", parameter: "cloudsql.logical_decoding" },
  { name: "Cloud SQL", role: "cloudsqlsuperuser" },
  { name: "AlloyDB", parameter: "alloydb.logical_decoding", role: "cloudsqlsuperuser" },
  { name: "AlloyDB", role: "alloydbsuperuser" },
  { name: "Azure Database for PostgreSQL flexible server", parameter: "azure.extensions" },
  { name: "Azure Database for PostgreSQL flexible server", role: "azure_pg_admin" },
  { name: "Azure Cosmos DB for PostgreSQL", parameter: "citus.shard_count", role: "citus" },
  { name: "Supabase", role: "supabase_admin" },
  { name: "DigitalOcean Managed Databases", role: "doadmin" },
  { name: "Crunchy Bridge", role: "crunchy_superuser" },
  { name: "Heroku Postgres", sql: "CREATE SCHEMA heroku_ext" },
  { name: "Huawei Cloud RDS", role: '"rdsAdmin"' },
  { name: "self-managed server on Linux" },
  { name: "self-managed server on Linux", parameter: "citus.shard_count" },
];

describe("detection of the source's platform", () => {
  let server: EmbeddedServer;
  const login = { user: "u0123456789abc", password: "reader" };

  before(async () => {
    server = await EmbeddedServer.start({ major: 16 });
    await server.query(`CREATE ROLE ${login.user} LOGIN PASSWORD '${login.password}'`);
  });

  after(() => server.stop());

  async function detected(database: string, user: Partial<typeof login> = login, sourceType?: SourceType) {
    const session = await server.connect(database, user);
    try {
      return await detectPlatform(session, sourceType);
    } finally {
      await session.end();
    }
  }

  let count = 0;
  async function inDatabase<T>(run: (database: string) => Promise<T>, name = `scene_${count++}`): Promise<T> {
    await server.query(`CREATE DATABASE ${name}`);
    try {
      return await run(name);
    } finally {
      await server.query(`DROP DATABASE ${name}`);
    }
  }

  for (const { name, sql, role, parameter } of scenes)
    it(`recognizes ${name} by ${[sql, role, parameter].filter(Boolean).join(", ") || "no sign of a service"}`, () =>
      inDatabase(async (database) => {
        if (sql !== undefined) await server.query(sql, { database });
        if (role !== undefined) await server.query(`CREATE ROLE ${role}`);
        if (parameter !== undefined) await server.query(`ALTER DATABASE ${database} SET ${parameter} = 'on'`);
        try {
          assert.equal((await detected(database)).name, name);
        } finally {
          if (role !== undefined) await server.query(`DROP ROLE ${role}`);
        }
      }));

  it("recognizes Heroku Postgres by its names of database and role", () =>
    inDatabase(async (database) => {
      assert.equal((await detected(database)).name, "Heroku Postgres");
    }, "d0123456789abc"));

  it("uses sourceType for a server without signs of a service", async () => {
    assert.equal((await detected("postgres", login, "ApsaraDB_RDS")).name, "ApsaraDB RDS");
    assert.equal((await detected("postgres", login, "EDB")).name, "EDB Postgres Advanced Server");
  });

  it("prefers sourceType to roles", async () => {
    await server.query("CREATE ROLE supabase_admin");
    assert.equal((await detected("postgres", login, "AWS_RDS")).name, "Amazon RDS");
    await server.query("DROP ROLE supabase_admin");
  });

  it("prefers the server's parameters to sourceType", () =>
    inDatabase(async (database) => {
      await server.query(`ALTER DATABASE ${database} SET cloudsql.logical_decoding = 'on'`);
      assert.equal((await detected(database, login, "AWS_RDS")).name, "Cloud SQL");
    }));

  it("ignores roles of a service on a server with superusers", async () => {
    await server.query("CREATE ROLE rds_superuser");
    assert.equal((await detected("postgres", {})).name, "self-managed server on Linux");
    await server.query("DROP ROLE rds_superuser");
  });

  it("names the paths of a self-managed server to a role that may read them", async () => {
    const access = { address: "203.0.113.7/32", port: 5432, role: '"reader"' };
    const own = await detected("postgres", {});
    assert.match(
      own.letIn!(access)[0]!,
      new RegExp(`^add to ${server.dataDirectory}/pg_hba\\.conf, .*: host all,replication`),
    );
    assert.match(own.restart!, new RegExp(`^pg_ctl restart -D ${server.dataDirectory}`));
    assert.match((await detected("postgres")).letIn!(access)[0]!, /^add to the file that SHOW hba_file names, /);
  });
});
