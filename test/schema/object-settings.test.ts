import assert from "node:assert/strict";
import { connect } from "../../provider/src/postgres/connection/connect";
import { readObjectSettings } from "../../provider/src/schema/catalogue/object-settings";
import { EmbeddedServer } from "../support/servers/embedded-server";

const commented: readonly (readonly [create: string, comment: string])[] = [
  ['CREATE SCHEMA "x on y"', 'SCHEMA "x on y"'],
  [`CREATE TABLE "x on y"."T" (id int PRIMARY KEY, "C.c" text CHECK ("C.c" <> ''))`, 'COLUMN "x on y"."T"."C.c"'],
  ["SELECT 1", 'CONSTRAINT "T_C.c_check" ON "x on y"."T"'],
  ["CREATE MATERIALIZED VIEW seen AS SELECT 1 AS a", "COLUMN seen.a"],
  ["CREATE FOREIGN DATA WRAPPER far", "FOREIGN DATA WRAPPER far"],
  ["CREATE SERVER away FOREIGN DATA WRAPPER far", "SERVER away"],
  ["CREATE FOREIGN TABLE there (a int) SERVER away", "COLUMN there.a"],
  ["CREATE TYPE pair AS (a int)", "COLUMN pair.a"],
  ['CREATE DOMAIN plus AS int CONSTRAINT "a on b" CHECK (VALUE > 0)', 'CONSTRAINT "a on b" ON DOMAIN plus'],
  ["CREATE AGGREGATE counted (*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0')", "AGGREGATE counted (*)"],
  ["CREATE OPERATOR === (PROCEDURE = int4eq, LEFTARG = int, RIGHTARG = int)", "OPERATOR === (int, int)"],
  ["CREATE OPERATOR FAMILY kin USING btree", "OPERATOR FAMILY kin USING btree"],
  ["CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)", "TEXT SEARCH CONFIGURATION mine"],
  ['CREATE POLICY own ON "x on y"."T"', 'POLICY own ON "x on y"."T"'],
  ['CREATE STATISTICS both_of ON id, "C.c" FROM "x on y"."T"', "STATISTICS both_of"],
  ["SELECT lo_create(40000)", "LARGE OBJECT 40000"],
  [
    "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))",
    "TRANSFORM FOR int LANGUAGE sql",
  ],
];

for (const major of [10, 18] as const)
  it(`settings of objects of PostgreSQL ${major} can be set and reset with the statements that were read`, async () => {
    const server = await EmbeddedServer.start({ major });
    try {
      await server.query(
        `${commented.map(([create, comment]) => `${create}; COMMENT ON ${comment} IS 'it''s'`).join("; ")};
         ALTER TABLE "x on y"."T" ALTER "C.c" SET (n_distinct = -0.5), ALTER "C.c" SET STORAGE MAIN, SET (toast.autovacuum_enabled = false, fillfactor = 50);
         ALTER MATERIALIZED VIEW seen ALTER a SET STATISTICS 7; ALTER FOREIGN TABLE there ALTER a SET DEFAULT 3; CREATE VIEW plain AS SELECT 1 AS "A"; ALTER VIEW plain ALTER "A" SET DEFAULT 2;
         CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); CLUSTER fast USING fast_pkey; ALTER TABLE fast REPLICA IDENTITY USING INDEX fast_pkey;
         CREATE TABLE "Late" (id int REFERENCES "x on y"."T" DEFERRABLE INITIALLY DEFERRED); ALTER TABLE "Late" REPLICA IDENTITY FULL;
         ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 < (int, int8), FUNCTION 1 (int, int8) btint48cmp(int, int8);
         CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = simple, StopWords = english, "accept" = 'false'); CREATE PUBLICATION "Noted" WITH (publish = 'insert')`,
      );
      const session = await connect({ ...server.login, sslMode: "Disable" }, { database: "postgres", purpose: "test" });
      try {
        const settings = await readObjectSettings(session);
        const mappings = settings.filter(({ key }) => key.startsWith("mapping "));
        assert.equal(settings.length, commented.length + 17 + mappings.length);
        assert(mappings.length > 10);
        for (const { reset } of settings) await session.query(reset);
        assert.deepEqual(await readObjectSettings(session), []);
        for (const { set } of settings) await session.query(set);
        const inOrder = (some: typeof settings): typeof settings => some.sort((a, b) => (a.key < b.key ? -1 : 1));
        assert.deepEqual(inOrder(await readObjectSettings(session)), inOrder(settings));
      } finally {
        await session.end();
      }
    } finally {
      await server.stop();
    }
  });
