import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { Resource } from "../../support/resource";

describe("tables of a followed source that are copied again", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("a table that takes the name of a table with the same columns: is not taken for that table", async () => {
    const database = await lab.database(`
      CREATE TABLE live (id int PRIMARY KEY, v text); INSERT INTO live SELECT i, 'old' FROM generate_series(1, 20) i;
      CREATE TABLE next (id int PRIMARY KEY, v text); INSERT INTO next SELECT i, 'new' FROM generate_series(1, 20) i;
      CREATE TABLE p (id int PRIMARY KEY, w text) PARTITION BY RANGE (id);
      CREATE TABLE p_old PARTITION OF p FOR VALUES FROM (0) TO (100); INSERT INTO p SELECT i, 'old' FROM generate_series(1, 20) i`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `DROP TABLE p_old; CREATE TABLE p_new PARTITION OF p FOR VALUES FROM (0) TO (100);
       INSERT INTO p SELECT i, 'new' FROM generate_series(5, 30) i`,
      { database },
    );
    await until("the dropped partition is kept aside", async () => {
      const kept = "SELECT FROM pg_tables WHERE schemaname LIKE 'pgmigration_dropped_%' AND tablename = 'p_old'";
      return (await lab.queryTarget(database, kept)).length === 1;
    });
    await lab.source.query(
      `BEGIN; ALTER TABLE live RENAME TO past; ALTER TABLE next RENAME TO live;
       ALTER INDEX live_pkey RENAME TO past_pkey; ALTER INDEX next_pkey RENAME TO live_pkey; COMMIT;
       UPDATE live SET v = 'newer' WHERE id < 4; UPDATE past SET v = 'older' WHERE id > 15`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("a table that is created under the name of a dropped one: is new, and the dropped one's rows are kept", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id serial PRIMARY KEY, v text, n int NOT NULL); INSERT INTO t SELECT i, 'old', i FROM generate_series(1, 20) i;
      CREATE TABLE same (id int PRIMARY KEY, v text); INSERT INTO same SELECT i, 'old' FROM generate_series(1, 20) i;
      CREATE TABLE next (id int PRIMARY KEY, w text); INSERT INTO next SELECT i, 'next' FROM generate_series(1, 20) i;
      CREATE TABLE live (id int PRIMARY KEY, v text); INSERT INTO live SELECT i, 'old' FROM generate_series(1, 20) i;
      CREATE TABLE refers (id int PRIMARY KEY, t int REFERENCES t); INSERT INTO refers VALUES (1, 3)`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `UPDATE t SET v = 'last' WHERE id = 2; DROP TABLE t CASCADE; CREATE TABLE t (key bigserial PRIMARY KEY, n text, at date);
       INSERT INTO t (n, at) SELECT 'new', '2020-01-01' FROM generate_series(1, 30);
       ALTER TABLE refers ADD FOREIGN KEY (t) REFERENCES t; INSERT INTO refers VALUES (2, 25);
       DROP TABLE same; CREATE TABLE same (id int PRIMARY KEY, v text); INSERT INTO same VALUES (1, 'new');
       DROP TABLE live; ALTER TABLE next RENAME TO live; ALTER INDEX next_pkey RENAME TO live_pkey; UPDATE live SET w = 'x' WHERE id < 3`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const kept = await lab.queryTarget<{ name: string }>(
      database,
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname LIKE 'pgmigration_dropped_%' ORDER BY tablename",
    );
    assert.deepEqual(
      kept.map(({ name }) => name.split(".")[1]),
      ["live", "same", "t"],
    );
    const t = kept.at(-1)!.name;
    assert.deepEqual(
      await lab.queryTarget(database, `SELECT count(*)::int, max(v) FILTER (WHERE id = 2) AS v FROM ${t}`),
      [{ count: 20, v: "last" }],
    );
    await resource.destroy();
  });

  it("rows that ALTER TABLE rewrote, and definitions that were replaced at once: are copied again", async () => {
    const rows = "SELECT i, i, 'v' FROM generate_series(1, 20) i";
    const database = await lab.database(`
      CREATE TABLE doubled (id int PRIMARY KEY, n int, v text); INSERT INTO doubled ${rows};
      CREATE TABLE within (id int PRIMARY KEY, n int, v text); INSERT INTO within ${rows};
      CREATE TABLE there_and_back (id int PRIMARY KEY, n int, v text); INSERT INTO there_and_back ${rows};
      CREATE TYPE pair AS (a int, b int); CREATE TABLE paired (id int PRIMARY KEY, p pair[]);
      CREATE TABLE computed (id int PRIMARY KEY, n int, v text, g int GENERATED ALWAYS AS (n + 1) STORED); INSERT INTO computed ${rows}`);
    const resource = await lab.follow([database]);
    for (const sql of [
      "ALTER TABLE computed DROP g; ALTER TABLE computed ADD g int GENERATED ALWAYS AS (n * 10) STORED; UPDATE computed SET n = 50 WHERE id = 1",
      `ALTER TYPE pair ADD ATTRIBUTE c int; INSERT INTO paired VALUES (1, '{"(1,2,3)"}'); ALTER TYPE pair DROP ATTRIBUTE c; INSERT INTO paired VALUES (2, '{"(1,2)"}')`,
      "ALTER TABLE doubled ALTER COLUMN n TYPE int USING n * 2; UPDATE doubled SET v = 'w' WHERE id < 3",
      `BEGIN; UPDATE within SET v = 'before'; ALTER TABLE within ADD COLUMN extra int DEFAULT 3; UPDATE within SET extra = id;
       ALTER TABLE within DROP COLUMN extra; UPDATE within SET v = 'after' WHERE id = 3; COMMIT`,
      "ALTER TABLE there_and_back RENAME v TO w; UPDATE there_and_back SET w = 'x' WHERE id = 1",
      "ALTER TABLE there_and_back RENAME TO there; UPDATE there SET w = 'y' WHERE id = 2",
      "ALTER TABLE there RENAME TO there_and_back; ALTER TABLE there_and_back RENAME w TO v; DELETE FROM there_and_back WHERE id = 4",
    ])
      await lab.source.query(sql, { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("rows that shared a key while a table with REPLICA IDENTITY FULL had none: are copied again", async () => {
    const table = (name: string, identity: string): string =>
      `CREATE TABLE ${name} (id int PRIMARY KEY, v text); ALTER TABLE ${name} REPLICA IDENTITY ${identity};
       INSERT INTO ${name} SELECT i, 'old' FROM generate_series(1, 20) i`;
    const database = await lab.database(
      ["replaced FULL", "lost FULL", "became_full DEFAULT", "was_full DEFAULT", "was_keyless DEFAULT"]
        .map((one) => table(...(one.split(" ") as [string, string])))
        .join("; "),
    );
    const resource = await lab.follow([database]);
    const replace = (name: string): string =>
      `ALTER TABLE ${name} DROP CONSTRAINT ${name}_pkey; INSERT INTO ${name} VALUES (1, 'new'); DELETE FROM ${name} WHERE id = 1 AND v = 'old'`;
    for (const sql of [
      `BEGIN; ${replace("replaced")}; ALTER TABLE replaced ADD PRIMARY KEY (id); COMMIT`,
      `BEGIN; ${replace("lost")}; COMMIT`,
      `BEGIN; ALTER TABLE became_full REPLICA IDENTITY FULL; ${replace("became_full")}; ALTER TABLE became_full ADD PRIMARY KEY (id); COMMIT`,
      `BEGIN; ALTER TABLE was_full REPLICA IDENTITY FULL; ${replace("was_full")}; ALTER TABLE was_full ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT; COMMIT`,
      `BEGIN; ALTER TABLE was_keyless DROP CONSTRAINT was_keyless_pkey; INSERT INTO was_keyless VALUES (1, 'new');
       ALTER TABLE was_keyless REPLICA IDENTITY FULL; DELETE FROM was_keyless WHERE id = 1 AND v = 'old';
       ALTER TABLE was_keyless ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT; COMMIT`,
    ])
      await lab.source.query(sql, { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("names that are exchanged, and exchanged back before the schemas are compared: their tables are copied again", async () => {
    const table = (name: string): string =>
      `CREATE TABLE ${name} (id int PRIMARY KEY, k int NOT NULL UNIQUE, v text, w text);
       INSERT INTO ${name} SELECT i, 100 - i, '${name}', 'w' FROM generate_series(1, 60) i`;
    const tables = ["a", "b", "one.t", "two.t", "moved_in.t", "moved_out.t", "c", "key"].map(table).join("; ");
    const database = await lab.database(`
      CREATE SCHEMA one; CREATE SCHEMA two; CREATE SCHEMA moved_in; CREATE SCHEMA moved_out; ${tables};
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (30); CREATE TABLE high PARTITION OF parted FOR VALUES FROM (30) TO (90);
      INSERT INTO parted SELECT i, 'v' FROM generate_series(1, 60) i`);
    const resource = await lab.follow([database]);
    const exchange = (what: string, one: string, other: string): string =>
      [
        [one, "between"],
        [other, one],
        ["between", other],
      ]
        .map(([from, to]) => `${what.replace("?", from!)} RENAME ${what.includes("?") ? "" : from!} TO ${to!}`)
        .join("; ");
    const move = [
      "moved_in.t SET SCHEMA one_more",
      "moved_out.t SET SCHEMA moved_in",
      "one_more.t SET SCHEMA moved_out",
    ]
      .map((one) => `ALTER TABLE ${one}`)
      .join("; ");
    for (const [there, write] of [
      [exchange("ALTER TABLE ?", "a", "b"), "UPDATE a SET v = 'was b' WHERE id < 5; DELETE FROM b WHERE id = 9"],
      [exchange("ALTER TABLE ?", "low", "high"), "UPDATE parted SET v = 'written'"],
      [exchange("ALTER SCHEMA ?", "one", "two"), "UPDATE one.t SET v = 'was two' WHERE id < 5"],
      [`CREATE SCHEMA one_more; ${move}; DROP SCHEMA one_more`, "UPDATE moved_in.t SET v = 'was out' WHERE id < 5"],
      [exchange("ALTER TABLE c", "v", "w"), "UPDATE c SET v = 'was w' WHERE id < 5"],
      [exchange("ALTER TABLE key", "id", "k"), "UPDATE key SET v = 'written' WHERE k < 5; DELETE FROM key WHERE k = 9"],
    ])
      await lab.source.query(`BEGIN; ${there!}; ${write!}; ${there!}; COMMIT`, { database });
    await lab.source.query("UPDATE a SET v = 'later' WHERE id = 20; UPDATE c SET w = 'later' WHERE id = 20", {
      database,
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("partitions that swap their names: get each other's bounds", async () => {
    const database = await lab.database(`
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (30);
      INSERT INTO parted SELECT i, 'old' FROM generate_series(1, 29) i`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `BEGIN; ALTER TABLE low RENAME TO third; ALTER TABLE high RENAME TO low; ALTER TABLE third RENAME TO high;
       ALTER INDEX low_pkey RENAME TO third_pkey; ALTER INDEX high_pkey RENAME TO low_pkey; ALTER INDEX third_pkey RENAME TO high_pkey;
       UPDATE parted SET v = 'new' WHERE id IN (5, 25); COMMIT`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const bounds =
      "SELECT relname, pg_get_expr(relpartbound, oid) AS bound FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1";
    assert.deepEqual(await lab.queryTarget(database, bounds), await lab.source.query(bounds, { database }));
    await resource.destroy();
  });

  it("a table that lost a column on the target: is copied again, and a pause shows which side was altered", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (id int PRIMARY KEY, m mood NOT NULL, v text DEFAULT 'd'); CREATE INDEX t_m ON t (m);
      INSERT INTO t SELECT i, 'happy', 'v' FROM generate_series(1, 9) i;
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
      INSERT INTO parted VALUES (1, 'v'); CREATE TABLE other (id int PRIMARY KEY)`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", verification: "none" }));
    await lab.queryTarget(
      database,
      "DROP TYPE mood CASCADE; ALTER TABLE t DROP COLUMN v; ALTER TABLE parted DROP COLUMN v",
    );
    await lab.source.query("UPDATE t SET v = 'w' WHERE id = 1; INSERT INTO other VALUES (1)", { database });
    await until("the stream has reached the table, which is copied again", async () => {
      const [row] = await lab.queryTarget(
        database,
        "SELECT count(*)::int AS n FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v' AND NOT attisdropped",
      );
      return row!.n === 1;
    });
    await lab.queryTarget(database, "ALTER TABLE other ADD COLUMN only_here int");
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refused, /the target's schema has changed .*ALTER TABLE "public"."other" DROP COLUMN "only_here"/s);
    await lab.queryTarget(database, "ALTER TABLE other DROP COLUMN only_here");
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const shape = `SELECT (SELECT json_agg(json_build_array(attname, attnotnull, atthasdef) ORDER BY attname) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped) AS columns,
                          to_regclass('t_m') IS NOT NULL AS index`;
    assert.deepEqual(await lab.queryTarget(database, shape), await lab.source.query(shape, { database }));
    const warnings = await lab.target.query(
      "SELECT FROM pgmigration.event WHERE database = $1 AND level = 'warning' AND message LIKE '%has lost columns on the target%'",
      { values: [database] },
    );
    assert(warnings.length > 0);
    await resource.destroy();
  });
});
