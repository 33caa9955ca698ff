import assert from "node:assert/strict";
import type { Client } from "pg";
import { connect } from "../../provider/src/postgres/connection/connect";
import { otherKinds, tableKinds } from "../../provider/src/schema/catalogue/kinds";
import { defaults } from "../../provider/src/schema/catalogue/kinds/relations/columns";
import { readObjectSettings } from "../../provider/src/schema/catalogue/object-settings";
import { readSchema } from "../../provider/src/schema/catalogue/read-schema";
import { dumpSchema } from "../../provider/src/schema/dump/dump";
import { parseTocEntries } from "../../provider/src/schema/sql/toc-entries";
import { readSourceVersion } from "../../provider/src/worker/schema-diff/source-version";
import { EmbeddedServer } from "../support/servers/embedded-server";

const existing = `
  CREATE SCHEMA other; CREATE ROLE someone;
  CREATE TABLE t (id int PRIMARY KEY, a int, b text); CREATE TABLE child (c int) INHERITS (t);
  CREATE TABLE parts (id int, v text) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
  CREATE SEQUENCE counter; CREATE VIEW seen AS SELECT id FROM t; CREATE MATERIALIZED VIEW kept AS SELECT id FROM t;
  CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8);
  CREATE DOMAIN small AS int CONSTRAINT below CHECK (VALUE < 10);
  CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE largest(int) (SFUNC = int4larger, STYPE = int);
  CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE FUNCTION observe() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE OPERATOR === (PROCEDURE = int4eq, LEFTARG = int, RIGHTARG = int);
  CREATE OPERATOR FAMILY kin USING btree; CREATE TEXT SEARCH CONFIGURATION words (COPY = simple)`;

/** One change of each kind of object at a time. A repeated kind is changed again. */
const changes = [
  "CREATE SCHEMA third",
  "ALTER SCHEMA third RENAME TO fourth",
  "ALTER TABLE t ADD x int",
  "ALTER TABLE t RENAME x TO y",
  "ALTER TABLE t RENAME y TO x",
  "ALTER TABLE t ALTER x TYPE bigint",
  "ALTER TABLE t ALTER x SET NOT NULL",
  "ALTER TABLE t DROP x",
  "ALTER TABLE t ALTER a SET DEFAULT 1",
  "ALTER TABLE t ALTER a SET DEFAULT 2",
  "ALTER TABLE t RENAME TO t2",
  "ALTER TABLE t2 RENAME TO t",
  "CREATE TABLE swapped (id int)",
  "ALTER TABLE swapped SET SCHEMA other",
  "DROP TABLE other.swapped",
  "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0) NOT VALID",
  "ALTER TABLE t VALIDATE CONSTRAINT positive",
  "ALTER TABLE t RENAME CONSTRAINT positive TO above",
  "ALTER TABLE t DROP CONSTRAINT above, ADD CONSTRAINT above CHECK (a > 1)",
  "ALTER TABLE t ADD CONSTRAINT self FOREIGN KEY (a) REFERENCES t",
  "ALTER TABLE t ALTER CONSTRAINT self DEFERRABLE",
  "CREATE INDEX by_a ON t (a)",
  "ALTER INDEX by_a RENAME TO of_a",
  "ALTER INDEX of_a SET (fillfactor = 50)",
  "DROP INDEX of_a; CREATE INDEX of_a ON t (a DESC)",
  "ALTER TABLE child NO INHERIT t",
  "ALTER TABLE child INHERIT t",
  "ALTER TABLE parts DETACH PARTITION part",
  "ALTER TABLE parts ATTACH PARTITION part FOR VALUES IN (2)",
  "ALTER SEQUENCE counter INCREMENT 5",
  "CREATE OR REPLACE VIEW seen AS SELECT id FROM t WHERE id > 1",
  "ALTER VIEW seen SET (security_barrier)",
  "DROP MATERIALIZED VIEW kept; CREATE MATERIALIZED VIEW kept AS SELECT a FROM t",
  "ALTER TYPE mood RENAME VALUE 'sad' TO 'bad'",
  "ALTER TYPE mood ADD VALUE 'fine' AFTER 'bad'",
  "ALTER TYPE mood RENAME TO temper",
  "ALTER TYPE pair DROP ATTRIBUTE b, ADD ATTRIBUTE b int",
  "DROP TYPE span; CREATE TYPE span AS RANGE (subtype = int)",
  "ALTER DOMAIN small DROP CONSTRAINT below; ALTER DOMAIN small ADD CONSTRAINT below CHECK (VALUE < 9)",
  "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'",
  "ALTER FUNCTION one() SET SCHEMA other",
  "DROP AGGREGATE largest(int); CREATE AGGREGATE largest(int) (SFUNC = int4smaller, STYPE = int)",
  "CREATE TRIGGER fired BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE fires()",
  "ALTER TABLE t DISABLE TRIGGER fired",
  "ALTER TRIGGER fired ON t RENAME TO shot",
  "CREATE RULE quiet AS ON DELETE TO child DO INSTEAD NOTHING",
  "ALTER TABLE child DISABLE RULE quiet",
  "CREATE POLICY own ON t USING (id > 0)",
  "ALTER POLICY own ON t TO someone USING (id > 1)",
  "CREATE STATISTICS related ON id, a FROM t",
  "DROP STATISTICS related; CREATE STATISTICS related (dependencies) ON id, a FROM t",
  'CREATE COLLATION plain FROM "C"',
  'DROP COLLATION plain; CREATE COLLATION plain FROM "POSIX"',
  "CREATE CONVERSION back FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
  "DROP OPERATOR === (int, int); CREATE OPERATOR === (PROCEDURE = int4ne, LEFTARG = int, RIGHTARG = int)",
  "ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 < (int, int8)",
  "ALTER OPERATOR FAMILY kin USING btree ADD FUNCTION 1 (int, int8) btint48cmp(int, int8)",
  "ALTER OPERATOR FAMILY kin USING btree DROP OPERATOR 1 (int, int8)",
  "CREATE OPERATOR CLASS reversed FOR TYPE int USING btree FAMILY kin AS OPERATOR 1 >, FUNCTION 1 btint4cmp(int, int)",
  `DROP OPERATOR CLASS reversed USING btree;
   CREATE OPERATOR CLASS reversed FOR TYPE int USING btree FAMILY kin AS OPERATOR 1 >=, FUNCTION 1 btint4cmp(int, int)`,
  "CREATE CAST (int AS point) WITH INOUT",
  "DROP CAST (int AS point); CREATE CAST (int AS point) WITH INOUT AS ASSIGNMENT",
  "CREATE EVENT TRIGGER observed ON sql_drop EXECUTE PROCEDURE observe()",
  "ALTER EVENT TRIGGER observed DISABLE",
  "ALTER TEXT SEARCH CONFIGURATION words DROP MAPPING FOR word",
  "CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = simple)",
  "ALTER TEXT SEARCH DICTIONARY stops (Accept = false)",
  "CREATE EXTENSION hstore",
  "ALTER TABLE t SET (fillfactor = 70)",
  "ALTER TABLE t ALTER b SET STATISTICS 7",
  "ALTER TABLE t SET UNLOGGED",
  "ALTER TABLE t REPLICA IDENTITY FULL",
  "COMMENT ON COLUMN t.a IS 'noted'",
];

/** The model does not contain them yet. The version of the source's schema does. */
const besideModel = [
  "ALTER TABLE t OWNER TO someone",
  "GRANT SELECT ON t TO PUBLIC",
  "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
  "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
  "CREATE FOREIGN DATA WRAPPER far",
  "CREATE SERVER away FOREIGN DATA WRAPPER far",
  "CREATE USER MAPPING FOR PUBLIC SERVER away",
  "CREATE PUBLICATION mine FOR TABLE child",
];

/** A dump does not show them. */
const unseen = ["INSERT INTO t VALUES (5, 5, 'x'); ANALYZE", "REFRESH MATERIALIZED VIEW kept"];

for (const major of [10, 18] as const)
  describe(`the schema model of PostgreSQL ${major}`, () => {
    let server: EmbeddedServer;
    let session: Client;

    before(async () => {
      server = await EmbeddedServer.start({ major });
      await server.query(existing);
      session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
    });

    after(async () => {
      await session.end();
      await server.stop();
    });

    const dump = async (): Promise<string> => {
      const { text } = await dumpSchema({ ...server.login, sslMode: "Disable" }, "postgres", { tool: "wasm" });
      return JSON.stringify(
        parseTocEntries(text).map(({ type, schema, name, owner, sql }) => [type, schema, name, owner, sql]),
      );
    };
    const model = async (): Promise<string> => {
      const kinds = [...tableKinds, ...otherKinds, defaults];
      const compared = await readSchema(session, kinds, "attributes");
      const defined = await readSchema(session, kinds, "digest");
      const settings = (await readObjectSettings(session)).map(({ key, digest }) => [key, digest].join(" "));
      return JSON.stringify([
        compared.map(({ kind, identity, attributes }) => [kind, identity, attributes]),
        defined.map(({ kind, identity, definition }) => [kind, identity, definition]),
        settings.sort(),
      ]);
    };
    const look = async () => ({ dump: await dump(), model: await model(), version: await readSourceVersion(session) });

    it("differs after each change that pg_dump shows", async () => {
      let before = await look();
      for (const [sql, expected] of [
        ...changes.map((change) => [change, { dump: true, model: true, version: true }] as const),
        ...besideModel.map((change) => [change, { dump: true, model: false, version: true }] as const),
      ]) {
        await server.query(sql);
        const now = await look();
        const isOther = (of: "dump" | "model" | "version"): boolean => now[of] !== before[of];
        assert.deepEqual(
          { dump: isOther("dump"), model: isOther("model"), version: isOther("version") },
          expected,
          sql,
        );
        before = now;
      }
    });

    it("is the same after changes of rows", async () => {
      const before = await look();
      for (const change of unseen) for (const sql of change.split("; ")) await server.query(sql);
      assert.deepEqual(await look(), before);
    });
  });
