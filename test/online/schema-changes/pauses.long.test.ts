import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("a followed database whose schema change cannot be applied", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16, parameters: { log_connections: "on" } } });
  });
  after(() => lab.stop());

  it("a refusal of the target: is reported once, although it is retried", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    // Only a superuser may create a base type.
    await lab.source.query(
      `CREATE TYPE alien;
       CREATE FUNCTION alien_in(cstring) RETURNS alien LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
       CREATE FUNCTION alien_out(alien) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
       CREATE TYPE alien (INPUT = alien_in, OUTPUT = alien_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
       ALTER TABLE t ADD COLUMN a alien`,
      { database },
    );
    const refusals = (): Promise<{ message: string }[]> =>
      lab.target.query<{ message: string }>(
        "SELECT message FROM pgmigration.event WHERE migration = $1 AND level = 'warning' ORDER BY id",
        { values: [resource.inputs.migrationName] },
      );
    const dumps = async (): Promise<number> =>
      (await lab.source.log()).split(`database=${database} application_name=pg-migration dump version`).length - 1;
    await until("the refusal is reported", async () => (await refusals()).length >= 2);
    const before = await dumps();
    await until("the restore was retried twice", async () => (await dumps()) >= before + 2);
    const [refusal, consequence, ...more] = (await refusals()).map(({ message }) => message);
    assert.match(refusal!, /objects that new columns may need are missing on the target: .*alien/s);
    assert.match(consequence!, /the source's schema could not be compared: .*alien/s);
    assert.deepEqual(more, []);
    await resource.destroy();
  });

  it("another role's tables under the names of new tables: all other schema changes are applied, and the cutover is refused", async () => {
    const database = await lab.database(
      `CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id);
       CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (10)`,
    );
    const resource = await lab.follow([database]);
    await lab.target.query("CREATE ROLE intruder");
    await lab.target.query(
      `GRANT ALL ON SCHEMA public TO intruder; SET ROLE intruder; CREATE TABLE orders (id int PRIMARY KEY);
       CREATE TABLE parent_2 (id int PRIMARY KEY); GRANT ALL ON orders, parent_2 TO PUBLIC`,
      { database },
    );
    await lab.querySource(
      database,
      `CREATE TABLE orders (id int PRIMARY KEY, v text); CREATE INDEX orders_v ON orders (v);
       CREATE VIEW all_orders AS SELECT * FROM orders; CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (10) TO (20)`,
    );
    const named = `SELECT FROM pgmigration.event WHERE database = $1 AND level = 'warning'
                      AND message LIKE '%"orders" of intruder%"parent_2" of intruder%drop or rename them on the target%'`;
    await until(
      "the tables and their owner are named",
      async () => (await lab.target.query(named, { values: [database] })).length > 0,
    );
    await lab.querySource(
      database,
      `ALTER TABLE t ADD COLUMN v text; CREATE TABLE further (id int PRIMARY KEY); CREATE INDEX t_v ON t (v);
       INSERT INTO t VALUES (1, 'new column'); INSERT INTO further VALUES (1);
       INSERT INTO orders VALUES (1, 'a'); INSERT INTO parent_2 VALUES (10)`,
    );
    const applied = `SELECT FROM t, further WHERE t.v = 'new column' AND to_regclass('t_v') IS NOT NULL`;
    await until("the other schema changes are applied", async () => {
      const { state, error } = await resource.refresh();
      assert.notEqual(state, "Failed", error);
      return (await lab.queryTarget(database, "SELECT FROM pg_class WHERE relname = 'further'")).length === 1;
    });
    await until("their rows are there", async () => (await lab.queryTarget(database, applied)).length === 1);
    const refusal = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refusal, /"orders" of intruder/);
    await resource.update({ triggerCutover: false });
    const untouched = await lab.target.query(
      `SELECT (SELECT count(*)::int FROM orders) AS orders, (SELECT count(*)::int FROM parent_2) AS "parent_2",
              (SELECT count(*)::int FROM pg_class WHERE relname IN ('orders_v', 'all_orders')) AS restored,
              (SELECT count(*)::int FROM pg_inherits WHERE inhrelid = 'parent_2'::regclass) AS attached,
              (SELECT rolname FROM pg_roles r JOIN pg_class c ON c.relowner = r.oid WHERE c.relname = 'orders') AS owner`,
      { database },
    );
    assert.deepEqual(untouched, [{ orders: 0, parent_2: 0, restored: 0, attached: 0, owner: "intruder" }]);
    await lab.target.query("DROP TABLE orders, parent_2", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    assert.equal((await lab.queryTarget(database, "SELECT FROM all_orders")).length, 1);
    await resource.destroy();
  });

  it("a lock on the target: its holder is named, the stream continues, and the schema change is applied later", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)",
    );
    const resource = await lab.follow([database]);
    const holder = await lab.target.connect(database, lab.administrator);
    try {
      const [{ pid } = {}] = (await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
      await holder.query("BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE");
      const isReported = async (what: string): Promise<boolean> => {
        const refusals = await lab.target.query(
          `SELECT FROM pgmigration.event WHERE migration = $1 AND level = 'warning' AND message LIKE '%holds a lock on%(pid ${pid}%' || $2 || '%pg_terminate_backend(${pid})%'`,
          { values: [resource.inputs.migrationName, what] },
        );
        return refusals.length === 1;
      };
      const rows = async (): Promise<number> =>
        (await lab.queryTarget(database, "SELECT FROM t UNION ALL SELECT FROM other")).length;
      for (const [ddl, what] of [
        ["CREATE INDEX late ON t (v)", "CREATE INDEX late"],
        ["ALTER TABLE t ADD COLUMN w int", "lock timeout"],
      ] as const) {
        await lab.source.query(ddl, { database });
        await until(`the holder is named for ${ddl}`, () => isReported(what));
        const before = await rows();
        await lab.source.query(
          `INSERT INTO t (id) SELECT count(*) FROM t; INSERT INTO other SELECT count(*) FROM other`,
          { database },
        );
        if (ddl.startsWith("CREATE")) await until("the stream continues", async () => (await rows()) === before + 2);
      }
    } finally {
      await holder.end();
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    assert.equal((await lab.queryTarget(database, "SELECT FROM pg_class WHERE relname = 'late'")).length, 1);
    await resource.destroy();
  });

  it("pauses for DDL that the user wants to apply, names the statement, and resumes each time it was run", async () => {
    const database = await lab.database(`
      CREATE TABLE renamed_column (id int PRIMARY KEY, v text); CREATE TABLE other_type (id int PRIMARY KEY, n numeric(10,2));
      CREATE TABLE dropped_column (id int PRIMARY KEY, v text NOT NULL); CREATE TABLE not_unique (id int PRIMARY KEY, v text UNIQUE);
      CREATE TABLE old_name (id int PRIMARY KEY, v text); CREATE TABLE gone (id int PRIMARY KEY);
      CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (1, 'a');
      INSERT INTO renamed_column VALUES (1, 'a'); INSERT INTO other_type VALUES (1, 1.25);
      INSERT INTO dropped_column VALUES (1, 'a'); INSERT INTO not_unique VALUES (1, 'a'), (2, 'b'); INSERT INTO old_name VALUES (1, 'a')`);
    const resource = await lab.follow([database], { schemaChanges: "pause" });
    // Created before the first schema change: it is not taken for a table of the initial copy.
    await lab.queryTarget(database, "CREATE TABLE only_here (id int)");
    const changes: readonly (readonly [older: string, ddl: string, newer: string, expected: string])[] = [
      [
        "INSERT INTO renamed_column VALUES (2, 'older')",
        "ALTER TABLE renamed_column RENAME COLUMN v TO w",
        "INSERT INTO renamed_column VALUES (3, 'newer')",
        `ALTER TABLE "public"."renamed_column" RENAME COLUMN "v" TO "w"`,
      ],
      [
        "UPDATE parent SET v = 'older'",
        "ALTER TABLE parent RENAME COLUMN v TO w",
        "INSERT INTO heir VALUES (2, 'newer')",
        `ALTER TABLE "public"."parent" RENAME COLUMN "v" TO "w"`,
      ],
      [
        "UPDATE other_type SET n = 2.25",
        "ALTER TABLE other_type ALTER COLUMN n TYPE numeric(12,4)",
        "UPDATE other_type SET n = 1.2345",
        `ALTER TABLE "public"."other_type" ALTER COLUMN "n" TYPE numeric(12,4) USING "n"::numeric(12,4)`,
      ],
      [
        "INSERT INTO dropped_column VALUES (2, 'older')",
        "ALTER TABLE dropped_column DROP COLUMN v",
        "INSERT INTO dropped_column VALUES (3)",
        `ALTER TABLE "public"."dropped_column" DROP COLUMN "v" /* deletes the values of this column on the target */`,
      ],
      [
        "UPDATE not_unique SET v = 'c' WHERE id = 1",
        "ALTER TABLE not_unique DROP CONSTRAINT not_unique_v_key",
        "UPDATE not_unique SET v = 'same'",
        `ALTER TABLE "public"."not_unique" DROP CONSTRAINT IF EXISTS "not_unique_v_key"`,
      ],
      [
        "INSERT INTO old_name VALUES (2, 'older')",
        "ALTER TABLE old_name RENAME TO new_name",
        "INSERT INTO new_name VALUES (3, 'newer')",
        `ALTER TABLE "public"."old_name" RENAME TO "new_name"`,
      ],
      [
        "INSERT INTO gone VALUES (1)",
        "DROP TABLE gone",
        "UPDATE not_unique SET v = 'again'",
        `DROP TABLE "public"."gone"`,
      ],
    ];
    for (const [older, ddl, newer] of changes)
      for (const sql of [older, ddl, newer]) await lab.source.query(sql, { database });
    const isPaused = async (): Promise<boolean> => (await resource.messageOf(database)).includes("paused");
    await until("the database is paused", isPaused);
    assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /is paused/);
    await resource.update({ triggerCutover: false });
    // A pause may take days, and survives the loss of its sessions.
    await until("the database is paused again", isPaused);
    const ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
    await lab.source.query(ours);
    const { worker } = await resource.refresh();
    const ran = new Set<string>();
    while (ran.size < changes.length) {
      let named: string[] = [];
      await until("a statement is shown", async () => {
        const message = await resource.messageOf(database);
        assert.doesNotMatch(message, /"heir"/, "what is done to its parent is done to it");
        assert.doesNotMatch(message, /only_here/, "what was made on the target was not dropped on the source");
        named = changes.map(([, , , statement]) => statement).filter((one) => !ran.has(one) && message.includes(one));
        return named.length > 0;
      });
      for (const statement of named) {
        await lab.queryTarget(database, statement);
        ran.add(statement);
      }
    }
    await lab.queryTarget(database, "DROP TABLE only_here");
    const status = await resource.update({ triggerCutover: true });
    assert.equal(status.state, "Succeeded");
    assert.equal(status.worker.pid, worker.pid);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
