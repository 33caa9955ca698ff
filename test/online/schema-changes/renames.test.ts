import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { assertSameDefinitions } from "../../faults/same-definitions";
import { Lab } from "../../support/lab";
import { assertFinding } from "../../support/findings";
import { tableNames } from "./renames";
import { until } from "../../support/until";

describe("tables of a followed source that are renamed more than once", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  /** Renames on the source, and renames again while the worker's first statement waits for a reader of the target. */
  async function renameWhileTargetWaits(database: string, lock: string, renames: readonly string[]): Promise<void> {
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query(`BEGIN; ${lock}`);
    await lab.source.query(renames[0]!, { database });
    await until("the worker waits for the reader", async () => {
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ '^ALTER .* RENAME ' AND application_name ~ 'migration'`;
      return (await lab.target.query(waiting, { values: [database] })).length > 0;
    });
    for (const sql of renames.slice(1)) await lab.source.query(sql, { database });
    await reader.query("ROLLBACK");
    await reader.end();
  }

  it("columns and attributes that are renamed back, or again, while the target gets their first new names", async () => {
    const database = await lab.database(`
      CREATE TYPE pair AS (a int, b int); CREATE TYPE shape AS (a int, b int); CREATE TYPE other AS (a int, b int);
      CREATE TABLE held (id int PRIMARY KEY, v text, p pair); INSERT INTO held VALUES (1, 'a', '(1,2)');
      CREATE TABLE twice (id int PRIMARY KEY, v text NOT NULL, w text); INSERT INTO twice VALUES (1, 'v', 'w');
      CREATE TABLE typed OF shape (PRIMARY KEY (a)); INSERT INTO typed VALUES (1, 2)`);
    const resource = await lab.follow([database]);
    const lockTable = "LOCK TABLE held IN ACCESS SHARE MODE";
    await lab.source.query("INSERT INTO held VALUES (2, 'older', '(3,4)')", { database });
    await renameWhileTargetWaits(database, lockTable, [
      `ALTER TABLE held RENAME v TO n; ALTER TABLE twice RENAME v TO n; ALTER TYPE shape RENAME ATTRIBUTE b TO n CASCADE;
       ALTER TYPE pair RENAME ATTRIBUTE b TO n; INSERT INTO held (id, n) VALUES (3, 'between'); INSERT INTO twice (id, n) VALUES (3, 'between')`,
      `ALTER TABLE held RENAME n TO v; ALTER TABLE twice RENAME n TO o; ALTER TYPE shape RENAME ATTRIBUTE n TO b CASCADE;
       ALTER TYPE pair RENAME ATTRIBUTE n TO b; INSERT INTO held (id, v) VALUES (4, 'newer'); INSERT INTO twice (id, o) VALUES (4, 'newer');
       INSERT INTO typed VALUES (4, 4)`,
    ]);
    const applied = (table: string, id: number) => async (): Promise<boolean> =>
      (await lab.queryTarget(database, `SELECT FROM ${table} WHERE id = ${id}`)).length === 1;
    await until("the rows after the second name are applied", applied("twice", 4));
    await renameWhileTargetWaits(database, "ALTER TYPE pair RENAME ATTRIBUTE b TO z", [
      "ALTER TYPE pair RENAME ATTRIBUTE b TO n",
      "ALTER TYPE pair RENAME ATTRIBUTE n TO b; ALTER TABLE twice RENAME w TO x; ALTER TABLE twice RENAME o TO w; INSERT INTO twice VALUES (5, 'v', 'w')",
    ]);
    await until("the rows after the exchanged name are applied", applied("twice", 5));
    const names = await lab.queryTarget(
      database,
      "SELECT string_agg(attname, ' ' ORDER BY attnum) AS list FROM pg_attribute WHERE attrelid = 'twice'::regclass AND attnum > 0",
    );
    assert.deepEqual(names, [{ list: "id w x" }]);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const asked =
      "SELECT message FROM pgmigration.event WHERE database = $1 AND message ~ 'paused|DROP (COLUMN|ATTRIBUTE)'";
    assert.deepEqual(await lab.target.query(asked, { values: [database] }), []);
    await resource.destroy();
  });

  it("a table that gets a name that the filters exclude: its copy is kept apart and reported", async () => {
    const database = await lab.database(`CREATE SCHEMA private;
      CREATE TABLE moved (id int PRIMARY KEY, v text); CREATE TABLE unchanged (LIKE moved); CREATE TABLE quiet (LIKE moved);
      INSERT INTO moved VALUES (1, 'a'); INSERT INTO unchanged VALUES (1, 'a'); INSERT INTO quiet VALUES (1, 'a')`);
    const resource = await lab.follow([database], { exclude: { schemas: ["private"] } });
    await lab.querySource(
      database,
      `BEGIN; UPDATE moved SET v = 'b'; ALTER TABLE moved SET SCHEMA private; UPDATE private.moved SET v = 'c'; COMMIT;
       ALTER TABLE quiet SET SCHEMA private; INSERT INTO unchanged VALUES (2, 'b')`,
    );
    await lab.querySource(database, "UPDATE private.moved SET v = 'd'; INSERT INTO unchanged VALUES (3, 'c')");
    const status = await resource.update({ triggerCutover: true });
    assert.equal(status.state, "Succeeded");
    for (const name of ["moved", "quiet"])
      assertFinding(status, new RegExp(`"public"."${name}" .* given a name that the filters exclude`));
    assert.deepEqual(await tableNames(lab, "target", database), ["public.unchanged"]);
    assert.equal((await lab.queryTarget(database, "SELECT FROM unchanged")).length, 3);
    await resource.destroy();
  });

  it("a table that gets its name back from a name that the filters exclude: it is copied again", async () => {
    const database = await lab.database(`CREATE SCHEMA private;
      CREATE TABLE moved (id int PRIMARY KEY, v text); INSERT INTO moved VALUES (1, 'a'), (2, 'a')`);
    const resource = await lab.follow([database], { exclude: { schemas: ["private"] } });
    // The worker cannot move the copy away before the table returns.
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; LOCK TABLE moved IN ACCESS SHARE MODE");
    const isWaiting = async (): Promise<boolean> => {
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ 'SET SCHEMA "pgmigration_dropped_'`;
      return (await lab.target.query(waiting, { values: [database] })).length > 0;
    };
    await lab.querySource(
      database,
      "ALTER TABLE moved SET SCHEMA private; UPDATE private.moved SET v = 'b' WHERE id = 1; INSERT INTO private.moved VALUES (3, 'b')",
    );
    await until("the worker waits for the reader", isWaiting);
    await lab.querySource(database, "ALTER TABLE private.moved SET SCHEMA public; INSERT INTO moved VALUES (4, 'c')");
    await until("the worker has stopped waiting", async () => !(await isWaiting()));
    await reader.query("ROLLBACK");
    await reader.end();
    const status = await resource.update({ triggerCutover: true });
    assert.equal(status.state, "Succeeded", JSON.stringify(status));
    await assertSameContent(...lab.places(database));
    assert.deepEqual(await tableNames(lab, "target", database), ["public.moved"]);
    await resource.destroy();
  });

  it("schemas that get the names of other schemas at once: keep their rows, and are renamed only once", async () => {
    const schemas = (...names: readonly string[]): string =>
      names.map((name) => `CREATE SCHEMA ${name}; CREATE TABLE ${name}.t (id int PRIMARY KEY, v text)`).join("; ");
    const fill = (id: number, ...names: readonly string[]): string =>
      names.map((name) => `INSERT INTO ${name}.t VALUES (${id}, '${name} ${id}')`).join("; ");
    const database = await lab.database(`
      ${schemas("app", "first", "second", "west", "east")}; CREATE TYPE app.mood AS ENUM ('sad'); CREATE SCHEMA empty;
      ALTER TABLE app.t ADD m app.mood DEFAULT 'sad', ADD UNIQUE (v); ${fill(1, "app", "first", "second", "west", "east")}`);
    const resource = await lab.follow([database]);
    const applied = (table: string, id: number) => async (): Promise<boolean> =>
      (await lab.queryTarget(database, `SELECT FROM pg_tables WHERE schemaname || '.' || tablename = '${table}'`))
        .length === 1 && (await lab.queryTarget(database, `SELECT FROM ${table} WHERE id = ${id}`)).length === 1;
    for (const sql of [
      fill(2, "app", "first", "second", "west", "east"),
      `ALTER SCHEMA app RENAME TO former; CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('glad');
       CREATE TABLE app.t (id int PRIMARY KEY, m app.mood, w int); INSERT INTO app.t VALUES (1, 'glad', 1);
       ALTER SCHEMA empty RENAME TO void; CREATE SCHEMA empty;
       ALTER SCHEMA second RENAME TO third; ALTER SCHEMA first RENAME TO second;
       ALTER SCHEMA west RENAME TO aside; ALTER SCHEMA east RENAME TO west; ALTER SCHEMA aside RENAME TO east`,
      fill(3, "former", "second", "third", "west", "east"),
      "INSERT INTO app.t VALUES (2, 'glad', 2)",
    ])
      await lab.source.query(sql, { database });
    for (const name of ["former", "second", "third", "west", "east"])
      await until(`the rows of ${name} are applied`, applied(`${name}.t`, 3));
    await until("the rows of the new schema are applied", applied("app.t", 2));
    await lab.source.query("ALTER SCHEMA east RENAME TO other; INSERT INTO other.t VALUES (4, 'other')", { database });
    await until("the schema is renamed again", applied("other.t", 4));
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const carried = await lab.target.query<{ message: string }>(
      `SELECT message FROM pgmigration.event WHERE database = $1 AND message ~ 'paused|could not be carried|ALTER SCHEMA| DROP (?!SCHEMA)'`,
      { values: [database] },
    );
    const renames = { app: "former", empty: "void", second: "third", first: "second", east: "other" };
    assert.deepEqual(
      carried.map(({ message }) => message).sort(),
      Object.entries(renames)
        .map(([from, to]) => `carried over from the source: ALTER SCHEMA "${from}" RENAME TO "${to}"`)
        .sort(),
    );
    assert.deepEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database));
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("tables of other columns that exchange their names: keep their rows, and foreign keys refer to them as before", async () => {
    const database = await lab.database(`
      CREATE SCHEMA app; CREATE TABLE one (id serial PRIMARY KEY, v text); INSERT INTO one (v) VALUES ('one'), ('one');
      CREATE TABLE other (id serial PRIMARY KEY, w int); INSERT INTO other (w) VALUES (1), (2);
      CREATE TABLE here (id serial PRIMARY KEY, v text); INSERT INTO here (v) VALUES ('here');
      CREATE TABLE app.here (id serial PRIMARY KEY, w int); INSERT INTO app.here (w) VALUES (3);
      CREATE TABLE refers (id int PRIMARY KEY, one int REFERENCES one, other int REFERENCES other); INSERT INTO refers VALUES (1, 1, 2);
      CREATE TABLE low (id int PRIMARY KEY, v text); CREATE TABLE replaced (id int PRIMARY KEY, v text); INSERT INTO replaced VALUES (1, 'replaced')`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `BEGIN; ALTER TABLE one RENAME TO third; ALTER TABLE other RENAME TO one; ALTER TABLE third RENAME TO other; COMMIT;
       BEGIN; CREATE SCHEMA third; ALTER TABLE here SET SCHEMA third; ALTER TABLE app.here SET SCHEMA public;
       ALTER TABLE third.here SET SCHEMA app; DROP SCHEMA third; COMMIT;
       ALTER TABLE replaced RENAME TO replaced_old; CREATE TABLE replaced (k int PRIMARY KEY, x numeric); INSERT INTO replaced VALUES (7, 7.5);
       INSERT INTO one (w) VALUES (5); INSERT INTO other (v) VALUES ('later'); UPDATE replaced_old SET v = 'old'; INSERT INTO here (w) VALUES (4)`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const objects = `
      SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('f', 'p') AND connamespace::regnamespace::text !~ '^pg'
      UNION ALL SELECT s.oid::regclass::text, refobjid::regclass::text, nspname FROM pg_class s JOIN pg_depend ON objid = s.oid AND deptype = 'a' JOIN pg_namespace n ON n.oid = s.relnamespace
       WHERE s.relkind = 'S' UNION ALL SELECT nspname, '', '' FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'pgmigration' ORDER BY 1, 2`;
    assert.deepEqual(await lab.queryTarget(database, objects), await lab.querySource(database, objects));
    await resource.destroy();
  });

  it("a table whose name a new one takes before the stream shows its changes: keeps them", async () => {
    const database = await lab.database(`
      CREATE TABLE taken (id int PRIMARY KEY, v text); INSERT INTO taken SELECT i, 'copied' FROM generate_series(1, 5) i;
      CREATE TABLE moved (id int PRIMARY KEY, v text); INSERT INTO moved SELECT i, 'copied' FROM generate_series(1, 5) i;
      CREATE TABLE ended (id int PRIMARY KEY, v text); CREATE SCHEMA app`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `DELETE FROM taken WHERE id = 1; ALTER TABLE taken ADD COLUMN c int; UPDATE taken SET c = 2 WHERE id = 2;
       ALTER TABLE taken RENAME TO taken_old; CREATE TABLE taken (id int PRIMARY KEY, v text, c int); INSERT INTO taken VALUES (9, 'new', 9);
       INSERT INTO ended VALUES (1, 'dropped'); ALTER TABLE ended ADD COLUMN c int; UPDATE ended SET c = 1; DROP TABLE ended;
       ALTER TABLE moved RENAME TO ended; DELETE FROM ended WHERE id = 1; ALTER TABLE ended SET SCHEMA app; UPDATE app.ended SET v = 'moved' WHERE id = 2`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("tables that are moved, exchange names, or lose a partition before the stream shows their changes: keep their rows", async () => {
    const database = await lab.database(`
      CREATE SCHEMA app;
      CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one VALUES (1, 'one');
      CREATE TABLE other (id int PRIMARY KEY, w int); INSERT INTO other VALUES (1, 1);
      CREATE TABLE plain (id int PRIMARY KEY); INSERT INTO plain VALUES (1);
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100); INSERT INTO parted VALUES (1, 'part');
      CREATE TABLE freed (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE detached PARTITION OF freed FOR VALUES FROM (0) TO (100); INSERT INTO freed VALUES (1, 'detached')`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `ALTER TABLE one SET SCHEMA app; ALTER TABLE other SET SCHEMA app;
       ALTER TABLE app.one RENAME TO third; ALTER TABLE app.other RENAME TO one; ALTER TABLE app.third RENAME TO other;
       INSERT INTO app.one VALUES (2, 2); INSERT INTO app.other VALUES (2, 'two');
       ALTER TABLE parted ADD COLUMN c int; ALTER TABLE parted RENAME TO third; ALTER TABLE plain RENAME TO parted;
       ALTER TABLE third RENAME TO plain; UPDATE plain SET c = 2; INSERT INTO parted VALUES (2);
       ALTER TABLE freed SET SCHEMA app; ALTER TABLE app.freed RENAME v TO r; UPDATE detached SET r = 'changed';
       ALTER TABLE app.freed DETACH PARTITION detached; INSERT INTO detached VALUES (2, 'two')`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await assertSameDefinitions(...lab.places(database));
    await resource.destroy();
  });

  it("partitions that exchange names while a table joins: keep their keys", async () => {
    const database = await lab.database(`
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (30);
      INSERT INTO parted SELECT i, 'old' FROM generate_series(1, 29) i`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `CREATE TABLE joins (id int PRIMARY KEY); INSERT INTO joins VALUES (1);
       BEGIN; ALTER TABLE low RENAME TO third; ALTER TABLE high RENAME TO low; ALTER TABLE third RENAME TO high; COMMIT;
       UPDATE parted SET v = 'new' WHERE id IN (5, 25); ALTER TABLE parted RENAME TO parted_old;
       CREATE TABLE parted (id int PRIMARY KEY, k int) PARTITION BY RANGE (id); CREATE TABLE new_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
       INSERT INTO parted VALUES (1, 2)`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await assertSameDefinitions(...lab.places(database));
    await resource.destroy();
  });

  it("a table that inherits from another one, which then gets a check: both are applied", async () => {
    const database = await lab.database(`
      CREATE TABLE parent (id int PRIMARY KEY, v int); CREATE TABLE child (id int PRIMARY KEY, v int); INSERT INTO child VALUES (1, 1);
      CREATE TABLE checked (id int PRIMARY KEY, v int CONSTRAINT positive CHECK (v > 0)); CREATE TABLE unchecked (id int PRIMARY KEY, v int)`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `ALTER TABLE child INHERIT parent; ALTER TABLE parent ADD CONSTRAINT small CHECK (v < 100); ALTER TABLE parent ALTER v SET NOT NULL;
       ALTER TABLE unchecked ADD CONSTRAINT positive CHECK (v > 0); ALTER TABLE unchecked INHERIT checked; INSERT INTO child VALUES (2, 2)`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await assertSameDefinitions(...lab.places(database));
    await resource.destroy();
  });
});
