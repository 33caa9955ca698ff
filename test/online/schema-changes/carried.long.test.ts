import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { tableNames } from "./renames";

describe("schema changes of a followed source that are applied at their position", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  async function write(database: string, ...statements: readonly string[]): Promise<void> {
    for (const sql of statements) await lab.source.query(sql, { database });
  }

  it("tables that are dropped, also twice under one name: the target keeps their rows in schemas of their own", async () => {
    const database = await lab.database(`
      CREATE TABLE kept (id serial PRIMARY KEY); INSERT INTO kept DEFAULT VALUES; CREATE TABLE other (id int PRIMARY KEY);
      CREATE TABLE child (id int PRIMARY KEY REFERENCES other); INSERT INTO other VALUES (1); INSERT INTO child VALUES (1);
      CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF p FOR VALUES FROM (0) TO (9);
      CREATE TABLE parent (id int); CREATE TABLE heir () INHERITS (parent); INSERT INTO heir VALUES (1); INSERT INTO p VALUES (1)`);
    const resource = await lab.follow([database]);
    const kept = (name: string): Promise<Record<string, unknown>[]> =>
      lab.queryTarget(
        database,
        `SELECT schemaname AS schema FROM pg_tables WHERE tablename = '${name}' AND schemaname LIKE 'pgmigration\\_dropped\\_%' ORDER BY 1`,
      );
    await write(database, "INSERT INTO kept VALUES (2)", "DROP TABLE kept");
    await until("the first table is kept", async () => (await kept("kept")).length === 1);
    const named = "SELECT FROM pgmigration.finding WHERE database = $1 AND code = 'PGM-510'";
    assert.equal((await lab.target.query(named, { values: [database] })).length, 1);
    await write(database, "CREATE TABLE kept (id serial PRIMARY KEY, v text); INSERT INTO kept (v) VALUES ('second')");
    const hasRow = "SELECT FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname = 'kept' AND n_tup_ins > 0";
    await until("the second table is copied", async () => (await lab.queryTarget(database, hasRow)).length === 1);
    await write(database, "INSERT INTO kept (v) VALUES ('third')", "DROP TABLE kept, child, part, heir");
    await write(database, "DELETE FROM other");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database));
    await assertSameContent(...lab.places(database));
    assert.deepEqual(await lab.queryTarget(database, "SELECT FROM parent UNION ALL SELECT FROM p"), []);
    assert.deepEqual(
      [
        (await kept("kept")).length,
        (await kept("child")).length,
        (await kept("part")).length,
        (await kept("heir")).length,
      ],
      [2, 1, 1, 1],
    );
    const counts = [];
    for (const { schema } of await kept("kept"))
      counts.push((await lab.queryTarget(database, `SELECT FROM ${String(schema)}.kept`)).length);
    assert.deepEqual(counts, [2, 2]);
    assert.equal((await lab.target.query(named, { values: [database] })).length, 5);
    await resource.destroy();
  });

  it("schemaChanges pause: the user runs every statement, until carry is set", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'old'); INSERT INTO t VALUES (1, 'a');
      CREATE TRIGGER sent BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger('hunter1');
      CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 3'`);
    const resource = await lab.follow([database], { schemaChanges: "pause" });
    for (const [ddl, statement, rows] of [
      [
        "ALTER TABLE t ADD COLUMN w int",
        `ALTER TABLE "public"."t" ADD COLUMN "w" integer`,
        "INSERT INTO t VALUES (2, 'b', 2)",
      ],
      [
        "ALTER TABLE t ALTER v SET DEFAULT 'new'",
        `ALTER TABLE ONLY "public"."t" ALTER COLUMN "v" SET DEFAULT 'new'::text`,
        "INSERT INTO t (id) VALUES (3)",
      ],
      [
        "CREATE TABLE u (id int NOT NULL); INSERT INTO u VALUES (1)",
        "CREATE TABLE public.u (\n    id integer NOT NULL\n)",
        "INSERT INTO u VALUES (2)",
      ],
    ] as const) {
      await write(database, ddl, rows);
      await lab.runRequested(resource, database, statement);
    }
    // The worker also creates what is missing then.
    const isCopied = async (): Promise<boolean> => (await lab.queryTarget(database, "SELECT FROM u")).length === 2;
    await until("the new table is copied", isCopied);
    await write(
      database,
      "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'; ALTER FUNCTION g() RENAME TO h",
      "CREATE OR REPLACE TRIGGER sent BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger('hunter2')",
      `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER w FOREIGN DATA WRAPPER w OPTIONS (password 'hunter2');
       CREATE USER MAPPING FOR PUBLIC SERVER w OPTIONS (password 'hunter2')`,
    );
    const refusal = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refusal, /schemaChanges is pause.*CREATE OR REPLACE FUNCTION public\.f\(\)/s);
    assert.match(refusal, /ALTER FUNCTION "public"\."g"\(\) RENAME TO "h"/);
    assert.doesNotMatch(refusal, /CREATE FUNCTION public\.h/);
    assert.match(refusal, /CREATE USER MAPPING FOR public SERVER w OPTIONS \.\.\./);
    assert.match(refusal, /in place of '<hidden value>'\): .*_updates_trigger\('<hidden value>'\)/s);
    assert.doesNotMatch(refusal, /hunter2/);
    const leaks = `SELECT message FROM pgmigration.event WHERE message LIKE '%hunter2%'
                   UNION ALL SELECT error FROM pgmigration.migration WHERE error LIKE '%hunter2%'`;
    assert.deepEqual(await lab.target.query(leaks), []);
    await write(database, "DROP FOREIGN DATA WRAPPER w CASCADE");
    await resource.update({ triggerCutover: false });
    await write(database, "ALTER TABLE t RENAME TO s", "INSERT INTO s VALUES (4)");
    await until("the rename is requested", async () => (await resource.messageOf(database)).includes('RENAME TO "s"'));
    await resource.update({ schemaChanges: "carry" });
    await until("the worker renames the table", async () => (await resource.messageOf(database)) === "");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await lab.queryTarget(database, "SELECT f(), h()"), [{ f: 2, h: 3 }]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
