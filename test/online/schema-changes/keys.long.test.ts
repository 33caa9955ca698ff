import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("changes of keys of a followed source", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("24: a table that gains or loses its key: updates of the source neither fail nor are lost", async () => {
    const database = await lab.database(`
      CREATE TABLE losing (id int PRIMARY KEY, v text); INSERT INTO losing VALUES (1, 'a'), (2, 'b');
      CREATE TABLE gaining (id int NOT NULL, v text); INSERT INTO gaining VALUES (1, 'a'), (2, 'b')`);
    const losing = new Resource();
    await losing.create(lab.inputs([database], { migrationMode: "Online", keylessTables: "full" }));
    await lab.source.query("ALTER TABLE losing DROP CONSTRAINT losing_pkey", { database });
    const update = async (table: string): Promise<boolean> => {
      const sql = `UPDATE ${table} SET v = v || '!' WHERE id = 1; DELETE FROM ${table} WHERE id = 2`;
      return lab.source.query(sql, { database }).then(
        () => true,
        () => false,
      );
    };
    await until("the source accepts updates", () => update("losing"));
    assert.equal((await losing.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await losing.destroy();

    await lab.target.query(`DROP DATABASE ${database}`);
    const gaining = await lab.follow([database]);
    await lab.source.query("ALTER TABLE gaining ADD PRIMARY KEY (id)", { database });
    const isCopied = "SELECT FROM pg_constraint WHERE conname = 'gaining_pkey'";
    await until("the key is on the target", async () => (await lab.queryTarget(database, isCopied)).length === 1);
    assert(await update("gaining"));
    // Only the catalogues show these keys now.
    await lab.source.query(`GRANT SELECT ON gaining TO pg_monitor; CREATE COLLATION "Only" FROM "C"`, { database });
    assert.equal((await gaining.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const carried = `SELECT has_table_privilege('pg_monitor', 'gaining', 'SELECT') AS granted, count(*)::int AS collations FROM pg_collation WHERE collname = 'Only'`;
    assert.deepEqual(await lab.queryTarget(database, carried), [{ granted: true, collations: 1 }]);
    await gaining.destroy();
  });

  it("a replaced key: indexes find rows meanwhile, and objects that only the target has are kept", async () => {
    const database = await lab.database(`
      CREATE TABLE parent (id int CONSTRAINT "Key" PRIMARY KEY, code int NOT NULL, v text);
      CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES parent);
      CREATE VIEW grouped AS SELECT id, v FROM parent GROUP BY id; CREATE VIEW upon AS SELECT count(*) FROM grouped;
      CREATE TABLE kept (id int CONSTRAINT kept_key PRIMARY KEY, code int NOT NULL, v text);
      INSERT INTO parent SELECT i, i, 'a' FROM generate_series(1, 50) i; INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
      INSERT INTO kept SELECT i, i, 'a' FROM generate_series(1, 50) i`);
    const resource = await lab.follow([database]);
    await lab.queryTarget(database, "CREATE VIEW only_here AS SELECT id, v FROM public.kept GROUP BY id");
    await lab.source.query(
      `UPDATE parent SET v = 'before', code = code + 100; DROP VIEW upon, grouped; ALTER TABLE child DROP CONSTRAINT child_parent;
       ALTER TABLE parent DROP CONSTRAINT "Key", ADD CONSTRAINT "Key" PRIMARY KEY (code);
       UPDATE parent SET id = 1; UPDATE child SET parent = parent + 100;
       ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent) REFERENCES parent;
       CREATE VIEW grouped AS SELECT code, v FROM parent GROUP BY code; CREATE VIEW upon AS SELECT count(*) FROM grouped`,
      { database },
    );
    const created = (): Promise<Record<string, unknown>[]> =>
      lab.target.query(
        `SELECT FROM pgmigration.event WHERE database = $1 AND message LIKE 'carried over from the source: CREATE INDEX%"pg\\_migration\\_%'`,
        { values: [database] },
      );
    await until("indexes replace the key", async () => (await created()).length === 2);
    const keys =
      "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1";
    await until("the target has the source's key", async () => (await lab.queryTarget(database, keys)).length === 4);

    await lab.source.query(
      `UPDATE kept SET v = 'before'; ALTER TABLE kept DROP CONSTRAINT kept_key, ADD CONSTRAINT kept_key PRIMARY KEY (code);
       UPDATE kept SET id = 1`,
      { database },
    );
    const statement = `DROP VIEW IF EXISTS public.only_here; ALTER TABLE "public"."kept" DROP CONSTRAINT IF EXISTS "kept_key"`;
    await until("the statement is shown", async () => (await resource.messageOf(database)).includes(statement));
    assert.equal((await lab.queryTarget(database, "SELECT FROM only_here")).length, 50);
    await lab.queryTarget(database, statement);
    await until("the migration resumes", async () => (await resource.messageOf(database)) === "");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    assert.deepEqual(await lab.queryTarget(database, keys), await lab.source.query(keys, { database }));
    assert.deepEqual(await lab.queryTarget(database, "SELECT count FROM upon"), [{ count: "50" }]);
    assert.deepEqual(
      await lab.queryTarget(database, "SELECT relname FROM pg_class WHERE relname LIKE 'pg\\_migration%'"),
      [],
    );
    await resource.destroy();
  });

  it("a new replica identity: its index is created after the column is NOT NULL", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    const resource = await lab.follow([database]);
    await lab.source.query(
      `ALTER TABLE t ALTER v SET NOT NULL; CREATE UNIQUE INDEX by_v ON t (v);
       ALTER TABLE t REPLICA IDENTITY USING INDEX by_v; UPDATE t SET v = 'b'`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const identity = "SELECT indexrelid::regclass::text AS index FROM pg_index WHERE indisreplident";
    assert.deepEqual(await lab.queryTarget(database, identity), [{ index: "by_v" }]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("indexes of partitions that were renamed or created again: keep their parents' indexes", async () => {
    const database = await lab.database(`
      CREATE TABLE p (id int, at date, v text, CONSTRAINT p_key PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE INDEX p_v ON p (v);
      CREATE TABLE renamed PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE again (id int, at date, v text, CONSTRAINT own_key PRIMARY KEY (id, at)); CREATE INDEX own_v ON again (v);
      ALTER TABLE p ATTACH PARTITION again FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
      CREATE TABLE nested PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
      CREATE TABLE leaf PARTITION OF nested DEFAULT;
      INSERT INTO p SELECT i, '2024-01-01'::date + 365 * (i % 3), 'v' FROM generate_series(1, 30) i`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `ALTER INDEX renamed_v_idx RENAME TO "Renamed"; ALTER TABLE renamed RENAME CONSTRAINT renamed_pkey TO "Renamed Key";
       ALTER INDEX nested_v_idx RENAME TO nested_v; ALTER INDEX leaf_v_idx RENAME TO leaf_v; ALTER INDEX p_v RENAME TO p_by_v;
       DROP TABLE again; CREATE TABLE again PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       INSERT INTO p VALUES (31, '2025-05-05', 'after')`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const indexes = `SELECT indexrelid::regclass::text AS index, indrelid::regclass::text AS table, inhparent::regclass::text AS parent
                       FROM pg_index LEFT JOIN pg_inherits ON inhrelid = indexrelid
                      WHERE indrelid >= 16384 AND indrelid::regclass::text !~ 'pg' ORDER BY 1`;
    assert.deepEqual(await lab.queryTarget(database, indexes), await lab.source.query(indexes, { database }));
    await resource.destroy();
  });
});
