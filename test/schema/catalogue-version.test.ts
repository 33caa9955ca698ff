import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connect";
import { readCatalogueVersion } from "../../provider/src/schema/catalogue-version";
import { EmbeddedServer } from "../support/embedded-server";

const told = [
  "CREATE TABLE t (id int)",
  "GRANT SELECT ON t TO PUBLIC",
  "GRANT UPDATE (id) ON t TO PUBLIC",
  "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
  "ALTER TABLE t ADD b int; CREATE STATISTICS both_of ON id, b FROM t",
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
  // Privileges on what came with the server are in a dump, too.
  "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC",
  "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
];

describe("the catalogues' version", () => {
  let server: EmbeddedServer;

  before(async () => {
    server = await EmbeddedServer.start({ major: 10 });
  });

  after(() => server.stop());

  it("is another after each change that a dump would show, and after no change of rows", async () => {
    const client = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    try {
      let before = await readCatalogueVersion(client);
      for (const sql of told) {
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
});
