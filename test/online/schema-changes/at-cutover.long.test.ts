import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";

describe("schema changes that are found at the cutover", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("objects that were redefined: are replaced at the cutover, which is refused if one cannot be replaced", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v');
      CREATE SCHEMA "Odd";
      CREATE FUNCTION "Odd"."F"(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION typed() RETURNS int LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION same() RETURNS int LANGUAGE sql AS 'SELECT 5';
      CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER fires BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE VIEW seen AS SELECT id FROM t;
      CREATE COLLATION other FROM "C"; CREATE TYPE span AS RANGE (subtype = int); CREATE STATISTICS both_of ON id, v FROM t; CREATE TYPE pair AS (a int);
      CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1)::pair'; CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
      CREATE TYPE kept AS RANGE (subtype = int);
      CREATE POLICY own ON t USING (true)`);
    await lab.source.query(
      `CREATE FUNCTION dropped(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW "Dropped" AS SELECT v FROM t;
       CREATE RULE dropped AS ON UPDATE TO "Dropped" DO INSTEAD NOTHING;
       CREATE COLLATION dropped FROM "C"; CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int); CREATE TEXT SEARCH CONFIGURATION dropped (COPY = simple);
       CREATE TYPE dropped AS (a int); CREATE DOMAIN "Less" AS int; CREATE SEQUENCE gone; CREATE SCHEMA "No"; CREATE EXTENSION tablefunc`,
      { database },
    );
    const resource = await lab.follow([database]);
    await lab.queryTarget(
      database,
      "CREATE VIEW only_here AS SELECT 1 AS one; CREATE VIEW uses_typed AS SELECT typed() AS one",
    );
    await lab.source.query(
      `DROP FUNCTION dropped(int, text); DROP VIEW "Dropped"; DROP TYPE dropped; DROP DOMAIN "Less"; DROP SEQUENCE gone; DROP SCHEMA "No"; DROP EXTENSION tablefunc;
       DROP COLLATION dropped; DROP OPERATOR === (int, int); DROP TEXT SEARCH CONFIGURATION dropped`,
      { database },
    );
    await lab.source.query(
      `CREATE OR REPLACE FUNCTION "Odd"."F"(int) RETURNS int LANGUAGE sql AS 'SELECT 2';
       DROP FUNCTION typed(); CREATE FUNCTION typed() RETURNS text LANGUAGE sql AS $$ SELECT 'typed' $$;
       CREATE OR REPLACE VIEW seen AS SELECT id, v FROM t;
       DROP TRIGGER fires ON t; CREATE TRIGGER fires BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fires();
       DROP POLICY own ON t; CREATE POLICY own ON t USING (id > 0);
       DROP COLLATION other; CREATE COLLATION other FROM "POSIX"; DROP TYPE span; CREATE TYPE span AS RANGE (subtype = text); DROP TYPE kept; CREATE TYPE kept AS RANGE (subtype = text);
       DROP STATISTICS both_of; CREATE STATISTICS both_of (ndistinct) ON id, v FROM t; DROP CAST (int AS pair); CREATE CAST (int AS pair) WITH FUNCTION to_pair(int) AS ASSIGNMENT`,
      { database },
    );
    await lab.queryTarget(database, "CREATE FUNCTION only_there(kept) RETURNS int LANGUAGE sql AS 'SELECT 1'");
    // The new table is found, and its join does not restore older definitions.
    await lab.source.query("CREATE TABLE late (id int PRIMARY KEY)", { database });
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(
      refused,
      /function public\.typed\(\) was changed .*cannot drop function public\.typed\(\).*DROP FUNCTION public\.typed\(\)/s,
    );
    await lab.queryTarget(database, "DROP VIEW uses_typed");
    assert.equal((await resource.update({})).state, "Succeeded");
    const [row] = await lab.queryTarget(
      database,
      `SELECT "Odd"."F"(0) AS f, typed(), same(), (SELECT v FROM seen) AS seen,
              (SELECT pg_get_triggerdef(oid) ~ 'BEFORE UPDATE' FROM pg_trigger WHERE tgname = 'fires') AS trigger,
              (SELECT pg_get_expr(polqual, polrelid) FROM pg_policy) AS policy,
              (SELECT collcollate FROM pg_collation WHERE collname = 'other') AS collation, upper('[a,b]'::span) AS span,
              (SELECT stxkind = '{d}' FROM pg_statistic_ext) AS statistics, (SELECT castcontext FROM pg_cast WHERE casttarget = 'pair'::regtype) AS cast`,
    );
    const replaced = { collation: "POSIX", span: "b", statistics: true, cast: "a" };
    assert.deepEqual(row, { f: 2, typed: "typed", same: 5, seen: "v", trigger: true, policy: "(id > 0)", ...replaced });
    const [kept] = await lab.target.query<{ message: string }>(
      "SELECT message FROM pgmigration.finding WHERE database = $1 AND object LIKE '%kept'",
      { values: [database] },
    );
    assert.match(
      kept?.message ?? "",
      /was changed on the source .* the target has the former definition: .*cannot drop type public\.kept/s,
    );
    const named = await lab.target.query(
      "SELECT object, remedy FROM pgmigration.finding WHERE database = $1 AND message LIKE '%was dropped on the source%' ORDER BY object",
      { values: [database] },
    );
    const unless = "unless it is needed on the target:";
    assert.deepEqual(named, [
      { object: "collation public.dropped", remedy: `${unless} DROP COLLATION public.dropped` },
      { object: `domain public."Less"`, remedy: `${unless} DROP DOMAIN public."Less"` },
      { object: "extension tablefunc", remedy: `${unless} DROP EXTENSION tablefunc` },
      {
        object: "function public.dropped(integer, text)",
        remedy: `${unless} DROP FUNCTION public.dropped(integer, text)`,
      },
      { object: "operator public.===(integer,integer)", remedy: `${unless} DROP OPERATOR public.===(integer,integer)` },
      {
        object: `rule public."Dropped".dropped`,
        remedy: `${unless} DROP RULE IF EXISTS "dropped" ON "public"."Dropped"`,
      },
      { object: `schema "No"`, remedy: `${unless} DROP SCHEMA "No"` },
      { object: "sequence public.gone", remedy: `${unless} DROP SEQUENCE public.gone` },
      {
        object: "text search configuration public.dropped",
        remedy: `${unless} DROP TEXT SEARCH CONFIGURATION public.dropped`,
      },
      { object: "type public.dropped", remedy: `${unless} DROP TYPE public.dropped` },
      { object: `view public."Dropped"`, remedy: `${unless} DROP VIEW public."Dropped"` },
    ]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
