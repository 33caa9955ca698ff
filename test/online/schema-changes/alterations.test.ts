import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { schemaFingerprint } from "../../../provider/src/worker/schema-diff/schema-fingerprint";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";

describe("alterations of a followed source", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("types, rules, defaults, partitions and sequences: are altered on the target, which then refuses no change", async () => {
    const database = await lab.database(`
      CREATE TYPE old_mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
      CREATE DOMAIN old_domain AS int CONSTRAINT positive CHECK (value > 0) CONSTRAINT small CHECK (value < 100);
      CREATE DOMAIN loose AS int CONSTRAINT positive CHECK (value > 0); CREATE DOMAIN strict AS int DEFAULT 6 NOT NULL; CREATE DOMAIN free AS int;
      CREATE TABLE t (id int PRIMARY KEY, m old_mood, p pair, l loose, s strict, f free, v int CONSTRAINT old_name UNIQUE,
                      d text DEFAULT 'a', w text, x int DEFAULT 4, r old_domain,
                      CONSTRAINT c CHECK (id > 0));
      CREATE INDEX i ON t (d); CREATE INDEX j ON t (w);
      INSERT INTO t SELECT i, 'sad', ROW(i, 'b')::pair, i, i, i, i FROM generate_series(1, 20) i;
      CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT f REFERENCES a);
      CREATE TABLE heir (id int PRIMARY KEY);
      INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1);
      CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
      CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30); CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (30) TO (40);
      CREATE TABLE p5 PARTITION OF p FOR VALUES FROM (50) TO (60); INSERT INTO p SELECT generate_series(50, 59);
      CREATE TYPE shape AS (a int, b text); CREATE TABLE typed OF shape (PRIMARY KEY (a)); CREATE TABLE untyped (a int PRIMARY KEY, b text);
      INSERT INTO p SELECT i FROM generate_series(1, 39) i; CREATE TABLE q (id int PRIMARY KEY, v text); INSERT INTO q SELECT generate_series(41, 49);
      CREATE SEQUENCE counted; CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `INSERT INTO t (id, f) VALUES (30, -5); UPDATE t SET f = 5 WHERE id = 30;
       ALTER TYPE old_mood RENAME TO "order"; ALTER DOMAIN old_domain RENAME TO new_domain;
       ALTER DOMAIN new_domain DROP CONSTRAINT small; ALTER DOMAIN new_domain ADD CONSTRAINT big CHECK (value > 10) NOT VALID;
       UPDATE t SET r = 200 WHERE id = 3;
       ALTER TYPE pair RENAME ATTRIBUTE b TO c;
       ALTER DOMAIN loose DROP CONSTRAINT positive; ALTER DOMAIN loose ADD CONSTRAINT positive CHECK (value > -10);
       ALTER DOMAIN strict DROP NOT NULL; ALTER DOMAIN strict DROP DEFAULT;
       ALTER DOMAIN free ADD CONSTRAINT positive CHECK (value > 0); ALTER DOMAIN free SET DEFAULT 7`,
      { database },
    );
    await lab.source.query(
      `ALTER TABLE t RENAME CONSTRAINT old_name TO new_name; ALTER TABLE t ALTER d SET DEFAULT 'b', ALTER w SET DEFAULT 'w', ALTER x DROP DEFAULT;
       ALTER TABLE t DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (id > -100); INSERT INTO t (id, l) VALUES (-5, -1);
       DROP INDEX i; CREATE INDEX i ON t (w); DROP INDEX j; ALTER TABLE t ADD CONSTRAINT new_check CHECK (id < 1000);
       ALTER TABLE b DROP CONSTRAINT f; UPDATE b SET a = 2; ALTER TABLE heir INHERIT a`,
      { database },
    );
    await lab.source.query(
      `ALTER TABLE p DETACH PARTITION p2; INSERT INTO p2 VALUES (100); ALTER TABLE p ADD COLUMN x int;
       ALTER TABLE p DETACH PARTITION p3; UPDATE p3 SET id = id + 100;
       ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (100) TO (200); INSERT INTO p VALUES (150);
       DROP TABLE p4; CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (30) TO (40); INSERT INTO p VALUES (31, 'new');
       ALTER TABLE q ADD COLUMN x int; ALTER TABLE p ATTACH PARTITION q FOR VALUES FROM (40) TO (50); INSERT INTO p VALUES (40);
       ALTER SEQUENCE counted INCREMENT 5 MAXVALUE 100 CYCLE;
       DROP AGGREGATE total (int); CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '100')`,
      { database },
    );
    await lab.source.query(
      `ALTER TABLE p DETACH PARTITION p5; ALTER TABLE p5 RENAME TO p5_old; ALTER INDEX p5_pkey RENAME TO p5_old_pkey;
       CREATE TABLE p5 PARTITION OF p FOR VALUES FROM (50) TO (70); INSERT INTO p VALUES (51, 'new'), (65, 'new'); UPDATE p5_old SET v = 'old';
       CREATE TABLE named (id int NOT NULL, v text, x int, CONSTRAINT own_name PRIMARY KEY (id)); INSERT INTO named VALUES (71);
       ALTER TABLE p ATTACH PARTITION named FOR VALUES FROM (70) TO (80); INSERT INTO p VALUES (72);
       ALTER TABLE typed NOT OF; ALTER TABLE typed ADD COLUMN c int; INSERT INTO typed VALUES (1, 'b', 2); ALTER TABLE untyped OF shape; INSERT INTO untyped VALUES (1, 'b')`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const shape = `
      SELECT (SELECT json_agg(typname ORDER BY 1) FROM pg_type WHERE typtype = 'e') AS enums,
             (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pair'::regclass) AS attributes,
             (SELECT json_agg(json_build_array(typname, typnotnull, typdefault) ORDER BY typname) FROM pg_type WHERE typtype = 'd' AND typname IN ('loose', 'strict', 'free', 'new_domain')) AS domains,
             (SELECT json_agg(json_build_array(coalesce(conrelid::regclass::text, contypid::regtype::text), conname, pg_get_constraintdef(oid))
                              ORDER BY concat(conrelid::regclass, contypid::regtype) COLLATE "C", conname, pg_get_constraintdef(oid) COLLATE "C")
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n') AS constraints,
             (SELECT json_agg(indexdef ORDER BY indexdef COLLATE "C") FROM pg_indexes WHERE schemaname = 'public') AS indexes,
             (SELECT json_agg(json_build_array(attrelid::regclass, attname, pg_get_expr(adbin, adrelid)) ORDER BY adrelid::regclass::text COLLATE "C", attnum)
                FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum) AS defaults,
             (SELECT json_agg(json_build_array(inhrelid::regclass, inhparent::regclass, pg_get_expr(relpartbound, inhrelid)) ORDER BY inhrelid::regclass::text COLLATE "C")
                FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE relkind = 'r') AS children,
             (SELECT json_agg(json_build_array(oid::regclass, reloftype::regtype)) FROM pg_class WHERE reloftype <> 0) AS typed,
             (SELECT json_build_array(seqincrement, seqmax, seqcycle) FROM pg_sequence WHERE seqrelid = 'counted'::regclass) AS sequence, total(1)
        FROM (VALUES (1)) AS one`;
    assert.deepEqual(await lab.queryTarget(database, shape), await lab.source.query(shape, { database }));
    await resource.destroy();
  });

  it("NOT NULL, checks of domains and foreign keys: are added after the earlier rows are applied", async () => {
    const database = await lab.database(`
      CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1); CREATE TABLE noticed (id int PRIMARY KEY);
      CREATE DOMAIN whole AS int; CREATE TABLE strict (id int PRIMARY KEY, v text, d whole);
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int PRIMARY KEY, parent int); INSERT INTO child VALUES (1, 5)`);
    const resource = await lab.follow([database]);
    /** Its changes reach the target after the new column, which shows that the schema was compared. */
    const behindObstacle = async (sql: string, column: string): Promise<void> => {
      const obstacle = await lab.target.connect(database);
      try {
        await obstacle.query("BEGIN; LOCK TABLE other IN ACCESS EXCLUSIVE MODE");
        await lab.source.query(`UPDATE other SET id = id + 1; ${sql}; ALTER TABLE noticed ADD COLUMN ${column} int`, {
          database,
        });
        await until("the schema is compared", async () => {
          const found = await lab.queryTarget(database, `SELECT FROM pg_attribute WHERE attname = '${column}'`);
          return found.length === 1;
        });
        // Nothing may happen: a constraint that is added too early fails the update.
        await sleep(500);
      } finally {
        await obstacle.end();
      }
    };
    await behindObstacle(
      // Changes before and after a TRUNCATE are not applied in one batch.
      `INSERT INTO strict VALUES (1, NULL, -1); TRUNCATE parent; UPDATE strict SET v = 'v', d = 1;
       ALTER TABLE strict ALTER v SET NOT NULL; ALTER DOMAIN whole ADD CONSTRAINT positive CHECK (value > 0)`,
      "one",
    );
    await until("the target has the constraint", async () => {
      const demanded = await lab.queryTarget(
        database,
        "SELECT FROM pg_attribute, pg_constraint WHERE attrelid = 'strict'::regclass AND attname = 'v' AND attnotnull AND conname = 'positive'",
      );
      return demanded.length === 1;
    });
    await behindObstacle(
      "INSERT INTO parent VALUES (5); ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent",
      "two",
    );
    await until("the constraint is valid", async () => {
      const keys = await lab.queryTarget(database, "SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated");
      return keys.length === 1;
    });
    const { validationDetails } = (await resource.refresh()).currentSubStateDetails;
    assert.doesNotMatch(JSON.stringify(validationDetails), /NOT VALID/);
    await resource.destroy();
    await assertSameContent(...lab.places(database));
  });

  it("labels that swap their names: are detected", async () => {
    const database = await lab.database("CREATE TYPE side AS ENUM ('left', 'right')");
    const session = await lab.source.connect(database);
    try {
      const before = await schemaFingerprint(session);
      assert.equal(await schemaFingerprint(session), before);
      for (const names of ["'left' TO 'x'", "'right' TO 'left'", "'x' TO 'right'"])
        await session.query(`ALTER TYPE side RENAME VALUE ${names}`);
      assert.notEqual(await schemaFingerprint(session), before);
    } finally {
      await session.end();
    }
  });
});
