import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("additions to the schema of a followed source", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("columns, tables, partitions, indexes and enum labels: are added to the target", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy');
      CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, m mood);
      INSERT INTO t SELECT i, 'v', 'sad' FROM generate_series(1, 100) i;
      CREATE TABLE p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE p_2024 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent);
      CREATE TABLE heirs_heir (PRIMARY KEY (id)) INHERITS (heir); INSERT INTO heirs_heir VALUES (1)`);
    const resource = await lab.follow([database]);
    await lab.source.query("VACUUM FULL t", { database });
    const [file] = await lab.source.query(
      "SELECT oid::text AS oid, relfilenode::text AS number FROM pg_class WHERE relname = 't'",
      {
        database,
      },
    );
    await until("the new file of t is recorded", async () => {
      const [seen] = await lab.target.query(
        "SELECT deferred_plan->'mark'->'forms'->$2->>'file' AS file FROM pgmigration.database WHERE name = $1",
        { values: [database, file!.oid] },
      );
      return seen!.file === file!.number;
    });
    await lab.source.query(
      `ALTER TABLE t ADD COLUMN note text;
       ALTER TABLE t ADD COLUMN rank int NOT NULL DEFAULT 7;
       ALTER TABLE parent ADD COLUMN inherited int NOT NULL DEFAULT 4;
       ALTER TABLE t ADD COLUMN filled int NOT NULL DEFAULT 5, ADD COLUMN "Lists" int[] DEFAULT '{1,2}';
       ALTER TABLE t ALTER COLUMN filled DROP DEFAULT, ALTER COLUMN "Lists" DROP DEFAULT;
       ALTER TABLE t ALTER COLUMN v DROP NOT NULL;
       ALTER TYPE mood ADD VALUE 'so so' BEFORE 'happy'`,
      { database },
    );
    await lab.source.query(
      `UPDATE t SET note = 'noted', m = 'so so', v = NULL WHERE id % 2 = 0;
       UPDATE parent SET inherited = 5; INSERT INTO heir VALUES (2, 6);
       ALTER TABLE t ALTER COLUMN rank SET DEFAULT 8;
       INSERT INTO t (id, v, filled) VALUES (101, 'ranked', 6);
       CREATE INDEX t_rank ON t (rank);
       CREATE TABLE "New Table" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Name" text, t int REFERENCES t);
       INSERT INTO "New Table" ("Name", t) SELECT 'before', 1 FROM generate_series(1, 50);
       CREATE TABLE p_2025 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       INSERT INTO p SELECT i, '2025-05-05' FROM generate_series(1, 50) i`,
      { database },
    );
    await until("the new table is on the target", async () => {
      const [row] = await lab.queryTarget(database, `SELECT to_regclass('"New Table"') IS NOT NULL AS found`);
      return row!.found === true;
    });
    await lab.source.query(
      `INSERT INTO "New Table" ("Name", t) VALUES ('after', 2); UPDATE "New Table" SET "Name" = 'later' WHERE id = 1;
       DELETE FROM p WHERE id = 7; INSERT INTO p VALUES (1000, '2024-02-02')`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const [row] = await lab.queryTarget(
      database,
      `SELECT to_regclass('t_rank') IS NOT NULL AS index,
              (SELECT column_default FROM information_schema.columns WHERE table_name = 't' AND column_name = 'rank') AS default,
              (SELECT json_agg(column_default) FROM information_schema.columns WHERE table_name = 't' AND column_name IN ('filled', 'Lists')) AS dropped,
              (SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND conrelid = '"New Table"'::regclass) AS keys`,
    );
    assert.deepEqual(row, { index: true, default: "8", dropped: [null, null], keys: 1 });
    const copied = await lab.target.query(
      `SELECT message FROM pgmigration.event WHERE migration = $1 AND message LIKE '%to be copied:%"public"."t"%'`,
      { values: [resource.inputs.migrationName] },
    );
    assert.deepEqual(copied, [], "t itself had all its changes in the stream");
    await resource.destroy();
  });

  it("a function that is created with a column, and then replaced: the target gets its last definition", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const define = (result: number): Promise<unknown> =>
      lab.querySource(database, `CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT ${result}'`);
    await define(1);
    await lab.querySource(database, "ALTER TABLE t ADD COLUMN n int");
    const isThere = "SELECT FROM pg_proc WHERE proname = 'f' AND pronamespace = 'public'::regnamespace";
    await until("the target has the function", async () => (await lab.queryTarget(database, isThere)).length > 0);
    await define(2);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await lab.queryTarget(database, "SELECT f()"), [{ f: 2 }]);
    await resource.destroy();
  });

  it("objects that the filter excludes: are not created, and do not prevent the cutover", async () => {
    const database = await lab.database("CREATE SCHEMA private; CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", exclude: { schemas: ["private"] } }));
    await lab.source.query("CREATE TABLE private.late (id int PRIMARY KEY); CREATE VIEW private.seen AS SELECT 1", {
      database,
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await lab.queryTarget(database, "SELECT FROM pg_namespace WHERE nspname = 'private'"), []);
    await resource.destroy();
  });

  it("types, sequences and schemas of new columns: are created first, and rows with a volatile default are copied again", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT 21 - i FROM generate_series(1, 20) i;
      CREATE TABLE numbered (id int PRIMARY KEY); INSERT INTO numbered SELECT 21 - i FROM generate_series(1, 20) i;
      CREATE TABLE moved (id int PRIMARY KEY)`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS int CHECK (value > 0);
       ALTER TABLE t ADD COLUMN m mood, ADD COLUMN p positive; UPDATE t SET m = 'happy', p = id`,
      { database },
    );
    await lab.source.query("ALTER TABLE numbered ADD COLUMN n serial; INSERT INTO numbered VALUES (100)", { database });
    await lab.source.query('CREATE SCHEMA "New"; ALTER TABLE moved SET SCHEMA "New"', { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("a column with a constant default: earlier rows of partitions get the default", async () => {
    const database = await lab.database(`
      CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
      CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
      CREATE TABLE p00 PARTITION OF p0 FOR VALUES FROM (0) TO (100);
      INSERT INTO p SELECT i, i FROM generate_series(1, 20) i`);
    const resource = await lab.follow([database]);
    for (const sql of [
      "ALTER TABLE p ADD COLUMN kept int NOT NULL DEFAULT 7, ADD COLUMN dropped text DEFAULT 'given'",
      "ALTER TABLE p ALTER COLUMN dropped DROP DEFAULT; CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (100) TO (200)",
      "INSERT INTO p VALUES (21, 21), (100, 100)",
    ])
      await lab.querySource(database, sql);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("a generated column that needs a column of a new type: is added after the type is changed", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 20) i",
    );
    const resource = await lab.follow([database]);
    await lab.querySource(
      database,
      "ALTER TABLE t ALTER v TYPE numeric; ALTER TABLE t ADD COLUMN g numeric GENERATED ALWAYS AS (v * 2) STORED",
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
