import assert from "node:assert/strict";
import { assertSameContent } from "../../../support/content";
import { Lab } from "../../../support/lab";
import { until } from "../../../support/until";
import { sharedObjects } from "./changes-of-every-kind";
import { createOwners, dumped, migrateChanges } from "./migrate-changes";

const returning = (value: number): string => `LANGUAGE sql IMMUTABLE AS 'SELECT ${value}'`;
const fires = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$";

/** Definitions that refer to other objects. They print the same before and after these objects were replaced. */
const definitions = `
  CREATE OR REPLACE VIEW reads AS SELECT id FROM t;
  CREATE OR REPLACE VIEW exchanged AS SELECT id FROM one EXCEPT SELECT id FROM other;
  CREATE OR REPLACE VIEW calls AS SELECT f(id) AS f FROM base;
  CREATE OR REPLACE VIEW columns AS SELECT v FROM cols;
  CREATE OR REPLACE FUNCTION counts() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t; END;
  CREATE OR REPLACE FUNCTION defaulted(a int DEFAULT f(1)) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE OR REPLACE AGGREGATE total(int) (SFUNC = adds, STYPE = int);
  CREATE OR REPLACE RULE writes AS ON UPDATE TO base WHERE false DO ALSO INSERT INTO t VALUES (NEW.id);
  CREATE OR REPLACE TRIGGER fires AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION fires_now();
  DROP TRIGGER IF EXISTS again ON parted; CREATE TRIGGER again AFTER UPDATE OF v ON cols FOR EACH ROW EXECUTE FUNCTION fires_now()`;

/** Those that have to be dropped first. */
const recreated = `
  CREATE POLICY sees ON parted USING (id IN (SELECT t.id FROM t));
  CREATE OPERATOR @@@ (FUNCTION = adds, LEFTARG = int, RIGHTARG = int);
  CREATE CAST (pair AS int) WITH FUNCTION casts(pair);
  CREATE STATISTICS known ON f(id), v FROM cols;
  CREATE INDEX by_result ON cols (f(id)); CREATE INDEX by_value ON cols (v);
  ALTER TABLE cols ADD CONSTRAINT checks CHECK (f(id) > 0), ADD CONSTRAINT refers FOREIGN KEY (id) REFERENCES one;
  ALTER DOMAIN positive ADD CONSTRAINT checks CHECK (f(VALUE) > 0)`;

const dropped = `
  DROP POLICY sees ON parted; DROP OPERATOR @@@ (int, int); DROP CAST (pair AS int); DROP STATISTICS known;
  DROP INDEX by_result, by_value; ALTER TABLE cols DROP CONSTRAINT checks, DROP CONSTRAINT refers; ALTER DOMAIN positive DROP CONSTRAINT checks;
  DROP TRIGGER again ON cols`;

const defaults = `ALTER TABLE cols ALTER n SET DEFAULT nextval('s'), ALTER d SET DEFAULT f(2); ALTER DOMAIN positive SET DEFAULT nextval('s')`;

const functions = (value: number): string => `
  CREATE FUNCTION f(int) RETURNS int ${returning(value)}; CREATE FUNCTION adds(int, int) RETURNS int ${returning(value)};
  CREATE FUNCTION casts(pair) RETURNS int ${returning(value)}; CREATE FUNCTION fires_now() ${fires}; CREATE SEQUENCE s`;

const objects = `${sharedObjects}; CREATE TYPE pair AS (a int); CREATE DOMAIN positive AS int; ${functions(1)};
  CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old');
  CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO one SELECT generate_series(1, 9); INSERT INTO other SELECT generate_series(1, 9);
  CREATE TABLE cols (id int PRIMARY KEY, v text, n int, d int, g int GENERATED ALWAYS AS (f(id)) STORED); INSERT INTO cols VALUES (1, 'old');
  ${definitions}; ${recreated}; ${defaults}`;

const renamed = `
  ALTER TABLE t RENAME TO t_old;
  ALTER FUNCTION f(int) RENAME TO f_old; ALTER FUNCTION adds(int, int) RENAME TO adds_old; ALTER FUNCTION casts(pair) RENAME TO casts_old;
  ALTER FUNCTION fires_now() RENAME TO fires_old; ALTER SEQUENCE s RENAME TO s_old; ALTER TABLE cols RENAME v TO v_old`;

const exchanged = `
  ALTER TABLE one RENAME TO third; ALTER TABLE other RENAME TO one; ALTER TABLE third RENAME TO other; DELETE FROM other WHERE id > 5;
  ALTER INDEX one_pkey RENAME TO third_pkey; ALTER INDEX other_pkey RENAME TO one_pkey; ALTER INDEX third_pkey RENAME TO other_pkey`;

const redefined = `${functions(2)};
  CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'new'), (3, 'new'); ALTER TABLE cols ADD v text DEFAULT 'new';
  ${dropped}; ${definitions}; ${recreated}; ${defaults}`;

describe("definitions of a followed source that refer to new objects under former names", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 17 } });
    await createOwners(lab);
  });
  after(() => lab.stop());

  it("after the target took the renames: definitions of every kind refer to the new objects", () =>
    migrateChanges(lab, { before: objects, steps: [`${renamed}; ${exchanged}`, redefined], kept: [] }));

  it("at once: definitions of every kind refer to the new objects", () =>
    migrateChanges(lab, { before: objects, steps: [`${renamed}; ${exchanged}; ${redefined}`], kept: [] }));

  it("tables that exchange their names: views and foreign keys refer to them as before", () =>
    migrateChanges(lab, { before: objects, steps: [exchanged], kept: [] }));

  it("function of another result beside one with only another body: what needs the latter stays", () =>
    migrateChanges(lab, {
      before: `${sharedObjects}; CREATE FUNCTION another() RETURNS int ${returning(1)}; CREATE FUNCTION body() RETURNS int ${returning(1)};
        CREATE TABLE needs (id int PRIMARY KEY DEFAULT body())`,
      steps: [
        `DROP FUNCTION another(); CREATE FUNCTION another() RETURNS text ${returning(2)}; CREATE OR REPLACE FUNCTION body() RETURNS int ${returning(2)}`,
      ],
      kept: [],
    }));

  it("tables that exchange their names back before the change is recorded: foreign keys refer to them as before", async () => {
    const database = await lab.database(`CREATE TABLE held (id int PRIMARY KEY);
      CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO one SELECT generate_series(1, 9);
      CREATE TABLE refers (id int PRIMARY KEY CONSTRAINT refers_to REFERENCES one); INSERT INTO refers SELECT generate_series(1, 9)`);
    const resource = await lab.follow([database]);
    const run = (sql: string): Promise<unknown> => lab.source.query(sql, { database });
    const hasLeft = (name: string): Promise<void> =>
      until(`the target has no ${name}`, async () => {
        const tables = `SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = '${name}'`;
        return (await lab.queryTarget(database, tables)).length === 0;
      });
    // Without this index, the worker records each change.
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; LOCK TABLE held IN SHARE ROW EXCLUSIVE MODE");
    await run("CREATE INDEX waits ON held (id); ALTER TABLE one RENAME TO third");
    await hasLeft("one");
    // The source has both former names again when the target gets the second name.
    await reader.query("SAVEPOINT renamed; LOCK TABLE other IN ACCESS SHARE MODE");
    await run("ALTER TABLE other RENAME TO one");
    await until("the worker waits for the reader", async () => {
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ '^ALTER TABLE .* RENAME TO "one"'`;
      return (await lab.target.query(waiting, { values: [database] })).length > 0;
    });
    await run("BEGIN; ALTER TABLE one RENAME TO other; ALTER TABLE third RENAME TO one; COMMIT");
    await reader.query("ROLLBACK TO renamed");
    await hasLeft("third");
    await reader.query("ROLLBACK");
    await reader.end();
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const [key, copy] = await Promise.all(
      [lab.source, lab.target].map(async (server) =>
        (await dumped(server, database)).get("FK CONSTRAINT public refers refers_to"),
      ),
    );
    assert.ok(key);
    assert.equal(copy, key);
    await resource.destroy();
  });

  it("renamed objects alone: no definition is replaced", async () => {
    const database = await lab.database(objects);
    const resource = await lab.follow([database]);
    await lab.source.query(renamed, { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const replaced = `SELECT message FROM pgmigration.event
      WHERE database = $1 AND message ~ 'is replaced|SET (EXPRESSION|DEFAULT)|(ADD|DROP) CONSTRAINT|DROP (INDEX|TRIGGER|RULE|POLICY)|copied'`;
    assert.deepEqual(await lab.target.query(replaced, { values: [database] }), []);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("key of another column under a former name: the target's key is replaced", () =>
    migrateChanges(lab, {
      before: `${sharedObjects}; CREATE TABLE wide (id int PRIMARY KEY, v text); INSERT INTO wide SELECT i, 'v' FROM generate_series(1, 9) i`,
      steps: [
        "ALTER TABLE wide RENAME id TO id_old; ALTER TABLE wide ADD id bigint; UPDATE wide SET id = id_old",
        "ALTER TABLE wide DROP CONSTRAINT wide_pkey, ALTER id SET NOT NULL, ADD CONSTRAINT wide_pkey PRIMARY KEY (id); UPDATE wide SET v = 'w' WHERE id = 3",
      ],
      kept: [],
    }));

  it("views and functions of another form that got the names of dropped ones: replace them, with what needs them", () =>
    migrateChanges(lab, {
      before: `${sharedObjects}; CREATE VIEW shown AS SELECT id, v FROM base; CREATE VIEW upon AS SELECT id FROM shown;
        CREATE VIEW "shown new" AS SELECT v, id AS number FROM base; CREATE VIEW stays AS SELECT * FROM "shown new";
        COMMENT ON VIEW "shown new" IS 'new'; COMMENT ON COLUMN "shown new".number IS 'number'; GRANT SELECT ON "shown new" TO one_owner;
        CREATE TRIGGER instead INSTEAD OF INSERT ON "shown new" FOR EACH ROW EXECUTE FUNCTION fires();
        CREATE FUNCTION result() RETURNS int ${returning(1)}; CREATE FUNCTION result_new() RETURNS text ${returning(2)}`,
      steps: [
        `DROP VIEW upon, shown; ALTER VIEW "shown new" RENAME TO shown; CREATE VIEW upon AS SELECT number FROM shown;
         DROP FUNCTION result(); ALTER FUNCTION result_new() RENAME TO result`,
      ],
      kept: ["function public.result_new()", 'trigger public."shown new".instead', 'view public."shown new"'],
    }));
});
