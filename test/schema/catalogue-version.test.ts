import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connection/connect";
import { allKinds } from "../../provider/src/schema/catalogue/kinds";
import { indexes } from "../../provider/src/schema/catalogue/kinds/relations/indexes";
import { readSchema } from "../../provider/src/schema/catalogue/read-schema";
import { readCatalogueRows } from "../../provider/src/schema/catalogue/catalogue-rows";
import { readCatalogueVersion } from "../../provider/src/schema/catalogue/catalogue-version";
import { differencesOf } from "../../provider/src/verify/compare-schema";
import { readSourceVersion } from "../../provider/src/worker/schema-diff/source-version";
import { EmbeddedServer, type Major } from "../support/servers/embedded-server";
import { changes, existing } from "./schema-changes";

const noticed = [
  "CREATE TABLE t (id int)",
  "GRANT SELECT ON t TO PUBLIC",
  "GRANT UPDATE (id) ON t TO PUBLIC",
  "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
  "ALTER TABLE t ADD b int; CREATE STATISTICS both_of ON id, b FROM t",
  "CREATE SCHEMA other",
  "ALTER STATISTICS both_of SET SCHEMA other",
  "CREATE TYPE pair AS (a int)",
  "REVOKE USAGE ON TYPE pair FROM PUBLIC",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
  "COMMENT ON FUNCTION f() IS 'one'",
  "COMMENT ON FUNCTION f() IS 'two'",
  "COMMENT ON SCHEMA public IS 'ours'",
  "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq)",
  "CREATE CAST (int AS point) WITH INOUT",
  "CREATE TEXT SEARCH CONFIGURATION words (COPY = simple)",
  "ALTER TEXT SEARCH CONFIGURATION words DROP MAPPING FOR word",
  "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
  // A dump also contains changed privileges on built-in objects.
  "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC",
  "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
];

/** What the statements of `changes` change. */
const kinds = [
  ...["access method", "aggregate", "cast", "collation", "column", "constraint", "conversion", "default privileges"],
  ...["domain", "domain constraint", "event trigger", "extension", "foreign table", "foreign-data wrapper", "function"],
  ...["index", "inheritance", "language", "large objects", "materialized view", "not-null constraint", "operator"],
  ...["operator class", "operator family", "partition", "policy", "privileges on the function"],
  ...["privileges on the relation", "procedure", "publication", "schema", "sequence", "server", "statistics", "table"],
  ...["text search configuration", "text search dictionary", "text search parser", "text search template", "transform"],
  ...["trigger", "type", "user mapping", "view", "view column"],
];

/** If these counted as changes of the schema, a cutover would never end. */
const transient = [
  "CREATE TEMPORARY TABLE mine (id serial PRIMARY KEY, v text CHECK (v <> ''))",
  "CREATE INDEX ON mine (v)",
  "CREATE TEMPORARY VIEW of_mine AS SELECT * FROM mine",
  "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "DROP TABLE mine CASCADE",
  "REFRESH MATERIALIZED VIEW seen",
];

describe("the catalogues' version", () => {
  let server: EmbeddedServer;

  before(async () => {
    server = await EmbeddedServer.start({ major: 10 });
  });

  after(() => server.stop());

  it("changes with every change that a dump would show, but not with changes of rows", async () => {
    const client = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      let before = await readCatalogueVersion(client);
      for (const sql of noticed) {
        await server.query(sql);
        const now = await readCatalogueVersion(client);
        assert.notEqual(now, before, sql);
        before = now;
      }
      await server.query("INSERT INTO t SELECT 1 FROM generate_series(1, 9); ANALYZE");
      assert.equal(await readCatalogueVersion(client), before);
    } finally {
      await client.end();
    }
  });

  it("does not change with temporary objects of applications", async () => {
    const application = await server.connect();
    const client = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      await application.query("CREATE MATERIALIZED VIEW seen AS SELECT 1 AS id; CREATE UNIQUE INDEX ON seen (id)");
      const before = await readSourceVersion(client);
      for (const sql of transient) {
        await application.query(sql);
        assert.equal(await readSourceVersion(client), before, sql);
      }
    } finally {
      await client.end();
      await application.end();
    }
  });

  it("an index that another session drops while definitions are read is left out", async () => {
    await server.query(
      "CREATE TABLE indexed (id int); CREATE INDEX stays ON indexed (id); CREATE INDEX goes ON indexed (id)",
    );
    const client = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT");
      await server.query("DROP INDEX goes");
      const found = await readSchema(client, [indexes], "text");
      const names = found.filter(({ of }) => of?.name === "indexed").map(({ name }) => name);
      assert.deepEqual(names, ["stays"]);
    } finally {
      await client.end();
    }
  });

  it("the schema model shows changes of every kind of object", async () => {
    const own = await EmbeddedServer.start({ major: 18 });
    try {
      await own.query(existing);
      const client = await connect({ ...own.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      try {
        const before = await readSchema(client, allKinds, "complete");
        for (const { sql } of changes) await own.query(sql);
        const now = await readSchema(client, allKinds, "complete");
        const changed = new Set(differencesOf(before, now, { exact: true }).map(({ kind }) => kind));
        assert.deepEqual([...changed].sort(), kinds);
      } finally {
        await client.end();
      }
    } finally {
      await own.stop();
    }
  });
});

describe("the rows of the catalogues", () => {
  for (const major of [14, 18] satisfies Major[])
    it(`differ after each change that a dump shows, but not after changes of users' rows, on ${major}`, async () => {
      const server = await EmbeddedServer.start({ major, parameters: { wal_level: "logical" } });
      const client = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      try {
        await server.query(`${existing}; CREATE TABLE filled_later (id int)`);
        let before = await readCatalogueRows(client);
        assert.notEqual(before, undefined);
        for (const { sql, from = 0, undumped } of changes) {
          if (from > major) continue;
          await server.query(sql);
          const now = await readCatalogueRows(client);
          if (!undumped) assert.notEqual(now, before, sql);
          before = now;
        }
        await server.query("ALTER ROLE someone RENAME TO someone_else");
        assert.notEqual(await readCatalogueRows(client), before);
        // The first ANALYZE after a change records that a table no longer has children.
        await server.query("ANALYZE");
        before = await readCatalogueRows(client);
        await server.query("CREATE DATABASE further");
        await server.query("ALTER DATABASE postgres SET default_transaction_read_only = off");
        await server.query("INSERT INTO filled_later SELECT i FROM generate_series(1, 1000) i; ANALYZE");
        await server.query("VACUUM");
        assert.equal(await readCatalogueRows(client), before);
      } finally {
        await client.end();
        await server.stop();
      }
    });
});
