import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("a followed database whose schema change cannot be applied", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("a table that another role created on the target: it gets no rows, and is copied after its removal", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.target.query("CREATE ROLE mallory");
    await lab.target.query(
      `GRANT ALL ON SCHEMA public TO mallory; SET ROLE mallory; CREATE TABLE events_12 (id int PRIMARY KEY);
       GRANT ALL ON events_12 TO PUBLIC; CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE LOG 'harm as %', current_user; RETURN NEW; END $$;
       CREATE TRIGGER harm BEFORE INSERT ON events_12 FOR EACH ROW EXECUTE FUNCTION harm();
       ALTER TABLE events_12 ENABLE ALWAYS TRIGGER harm`,
      { database },
    );
    await lab.querySource(database, "CREATE TABLE events_12 (id int PRIMARY KEY); INSERT INTO events_12 VALUES (1)");
    const named = `SELECT FROM pgmigration.event WHERE database = $1 AND level = 'warning'
                      AND message LIKE '%"public"."events_12" of mallory%drop or rename them on the target%'`;
    await until(
      "the table and its owner are named",
      async () => (await lab.target.query(named, { values: [database] })).length > 0,
    );
    await lab.querySource(database, "INSERT INTO t VALUES (1)");
    await until("the stream continues", async () => (await lab.queryTarget(database, "SELECT FROM t")).length === 1);
    assert.doesNotMatch(await lab.target.log(), /harm as/);
    await lab.target.query("DROP TABLE events_12; DROP FUNCTION harm()", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("a table of another role that the target's role may not read: holds up neither changes nor the cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.target.query(
      "CREATE ROLE stranger; GRANT CREATE ON SCHEMA public TO stranger; SET ROLE stranger; CREATE TABLE private (id int)",
      {
        database,
      },
    );
    await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)");
    await until("the new table is copied", async () => {
      const found = await lab.queryTarget(database, "SELECT FROM pg_class WHERE relname = 'late'");
      return found.length > 0 && (await lab.queryTarget(database, "SELECT FROM late")).length === 1;
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await lab.target.query("DROP TABLE private", { database });
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("functions, types, a view and a schema of another role: no code of them runs, and the changes are applied after their removal", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)",
    );
    const resource = await lab.follow([database]);
    await lab.target.query(`CREATE ROLE squatter; GRANT CREATE ON DATABASE ${database} TO squatter`);
    await lab.target.query(
      `GRANT ALL ON SCHEMA public TO squatter; SET ROLE squatter; CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO PUBLIC;
       CREATE FUNCTION norm(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'squat as %', current_user; RETURN v; END $$;
       CREATE DOMAIN email AS text CHECK (norm(VALUE) IS NOT NULL); CREATE DOMAIN mood AS text CHECK (norm(VALUE) IS NOT NULL);
       CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'squat as %', current_user; RETURN NULL; END $$;
       CREATE VIEW orders AS SELECT 1 AS id; GRANT ALL ON orders TO PUBLIC;
       CREATE TRIGGER fire INSTEAD OF INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION fire();
       CREATE EXTENSION tablefunc; ALTER EXTENSION tablefunc ADD FUNCTION norm(text); ALTER EXTENSION tablefunc ADD VIEW orders`,
      { database },
    );
    await lab.querySource(
      database,
      `CREATE FUNCTION norm(v text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(v)'; CREATE SCHEMA app;
       CREATE TABLE app.t (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY);
       CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%'); CREATE TYPE mood AS ENUM ('good');
       ALTER TABLE t ADD COLUMN n text GENERATED ALWAYS AS (norm(v)) STORED, ADD COLUMN e email, ADD COLUMN m mood;
       INSERT INTO u VALUES (1); INSERT INTO orders VALUES (1); INSERT INTO app.t VALUES (1);
       INSERT INTO t (id, v, e, m) VALUES (1, 'A', 'a@b', 'good')`,
    );
    const named = `SELECT FROM pgmigration.event WHERE database = $1 AND level = 'warning'
                      AND message LIKE '%function "public"."norm" of squatter, relation "public"."email" of squatter, relation "public"."mood" of squatter, relation "public"."orders" of squatter, schema "app" of squatter%'`;
    await until(
      "the objects and their owner are named",
      async () => (await lab.target.query(named, { values: [database] })).length > 0,
    );
    assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /"norm" of squatter/);
    assert.equal((await resource.update({ triggerCutover: false })).state, "WaitingForUserAction");
    assert.doesNotMatch(await lab.target.log(), /squat as/);
    await lab.target.query("DROP OWNED BY squatter CASCADE; DROP ROLE squatter", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("a column of a domain over a NOT NULL domain, with a user's default: the operator is asked for it", async () => {
    const database = await lab.database(`
      CREATE FUNCTION given() RETURNS int LANGUAGE sql AS 'SELECT 7'; CREATE DOMAIN required AS int NOT NULL; CREATE DOMAIN own AS required DEFAULT given();
      CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (1), (2)`);
    const resource = await lab.follow([database]);
    await lab.querySource(
      database,
      "ALTER TABLE t ADD COLUMN n own; ALTER TABLE u ADD COLUMN n required DEFAULT given(); INSERT INTO t VALUES (3); INSERT INTO u VALUES (3)",
    );
    const statements = [
      'ALTER TABLE "public"."t" ADD COLUMN "n" public.own',
      'ALTER TABLE "public"."u" ADD COLUMN "n" public.required DEFAULT public.given()',
    ];
    await until("the database is paused for both columns", async () => {
      const message = await resource.messageOf(database);
      return message.includes("paused") && statements.every((sql) => message.includes(sql));
    });
    for (const sql of statements) await lab.queryTarget(database, sql);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
