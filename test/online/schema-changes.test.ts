import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { schemaFingerprint } from "../../provider/src/worker/schema-diff/schema-fingerprint";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("schema changes on the source while it is followed", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { major: 16, parameters: { log_connections: "on" } } });
  });
  after(() => lab.stop());

  const onTarget = (database: string, sql: string): Promise<Record<string, unknown>[]> =>
    lab.target.query(sql, { database, login: lab.administrator });
  const follow = async (database: string): Promise<Resource> => {
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    return resource;
  };
  const messageOf = async (resource: Resource, database: string): Promise<string> =>
    (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.message ?? "";

  it("carries over what is added: columns, tables, partitions, indexes, enum labels", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy');
      CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, m mood);
      INSERT INTO t SELECT i, 'v', 'sad' FROM generate_series(1, 100) i;
      CREATE TABLE p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE p_2024 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent);
      CREATE TABLE heirs_heir (PRIMARY KEY (id)) INHERITS (heir); INSERT INTO heirs_heir VALUES (1)`);
    const resource = await follow(database);
    await lab.source.query("VACUUM FULL t", { database });
    const [file] = await lab.source.query(
      "SELECT oid::text AS oid, relfilenode::text AS number FROM pg_class WHERE relname = 't'",
      {
        database,
      },
    );
    await until("it is seen that t only lies in another file", async () => {
      const [seen] = await lab.target.query(
        "SELECT handover->'mark'->'forms'->$2->>'file' AS file FROM pgmigration.database WHERE name = $1",
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
      `UPDATE t SET note = 'told', m = 'so so', v = NULL WHERE id % 2 = 0;
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
    await until("the new table is there", async () => {
      const [row] = await onTarget(database, `SELECT to_regclass('"New Table"') IS NOT NULL AS found`);
      return row!.found === true;
    });
    await lab.source.query(
      `INSERT INTO "New Table" ("Name", t) VALUES ('after', 2); UPDATE "New Table" SET "Name" = 'later' WHERE id = 1;
       DELETE FROM p WHERE id = 7; INSERT INTO p VALUES (1000, '2024-02-02')`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const [row] = await onTarget(
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

  it("tells once what the target refuses, however often that is tried", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await follow(database);
    // A type of its own only a superuser makes.
    await lab.source.query(
      `CREATE TYPE alien;
       CREATE FUNCTION alien_in(cstring) RETURNS alien LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
       CREATE FUNCTION alien_out(alien) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
       CREATE TYPE alien (INPUT = alien_in, OUTPUT = alien_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
       ALTER TABLE t ADD COLUMN a alien`,
      { database },
    );
    const told = (): Promise<{ message: string }[]> =>
      lab.target.query<{ message: string }>(
        "SELECT message FROM pgmigration.event WHERE migration = $1 AND level = 'warning' ORDER BY id",
        { values: [resource.inputs.migrationName] },
      );
    const dumps = async (): Promise<number> =>
      (await lab.source.log()).split(`database=${database} application_name=pg-migration dump version`).length - 1;
    await until("the refusal is told", async () => (await told()).length >= 2);
    const before = await dumps();
    await until("it has been tried twice more", async () => (await dumps()) >= before + 2);
    const [refusal, consequence, ...more] = (await told()).map(({ message }) => message);
    assert.match(refusal!, /the target is not given what columns may be made of: .*alien/s);
    assert.match(consequence!, /the source's schema could not be compared: .*alien/s);
    assert.deepEqual(more, []);
    await resource.destroy();
  });

  it("stands behind nobody who keeps a lock on the target: he is named, and what waits for him comes later", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)",
    );
    const resource = await follow(database);
    const holder = await lab.target.connect(database, lab.administrator);
    try {
      const [{ pid } = {}] = (await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
      await holder.query("BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE");
      const isTold = async (what: string): Promise<boolean> => {
        const told = await lab.target.query(
          `SELECT FROM pgmigration.event WHERE migration = $1 AND level = 'warning' AND message LIKE '%held by pid ${pid}%' || $2 || '%pg_terminate_backend(${pid})%'`,
          { values: [resource.inputs.migrationName, what] },
        );
        return told.length === 1;
      };
      const rows = async (): Promise<number> =>
        (await onTarget(database, "SELECT FROM t UNION ALL SELECT FROM other")).length;
      for (const [ddl, what] of [
        ["CREATE INDEX late ON t (v)", "CREATE INDEX late"],
        ["ALTER TABLE t ADD COLUMN w int", "lock timeout"],
      ] as const) {
        await lab.source.query(ddl, { database });
        await until(`the holder is named for ${ddl}`, () => isTold(what));
        const before = await rows();
        await lab.source.query(
          `INSERT INTO t (id) SELECT count(*) FROM t; INSERT INTO other SELECT count(*) FROM other`,
          { database },
        );
        if (ddl.startsWith("CREATE")) await until("the stream goes on", async () => (await rows()) === before + 2);
      }
    } finally {
      await holder.end();
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    assert.equal((await onTarget(database, "SELECT FROM pg_class WHERE relname = 'late'")).length, 1);
    await resource.destroy();
  });

  it("pauses for what it cannot decide, names the statement, and goes on each time it has been run", async () => {
    const database = await lab.database(`
      CREATE TABLE renamed_column (id int PRIMARY KEY, v text); CREATE TABLE other_type (id int PRIMARY KEY, n numeric(10,2));
      CREATE TABLE dropped_column (id int PRIMARY KEY, v text NOT NULL); CREATE TABLE not_unique (id int PRIMARY KEY, v text UNIQUE);
      CREATE TABLE old_name (id int PRIMARY KEY, v text); CREATE TABLE gone (id int PRIMARY KEY);
      CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (1, 'a');
      INSERT INTO renamed_column VALUES (1, 'a'); INSERT INTO other_type VALUES (1, 1.25);
      INSERT INTO dropped_column VALUES (1, 'a'); INSERT INTO not_unique VALUES (1, 'a'), (2, 'b'); INSERT INTO old_name VALUES (1, 'a')`);
    const resource = await follow(database);
    // Before anything has been carried over: it is not taken for a part of the base copy.
    await onTarget(database, "CREATE TABLE only_here (id int)");
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
        `ALTER TABLE "public"."dropped_column" DROP COLUMN "v"`,
      ],
      [
        "UPDATE not_unique SET v = 'c' WHERE id = 1",
        "ALTER TABLE not_unique DROP CONSTRAINT not_unique_v_key",
        "UPDATE not_unique SET v = 'same'",
        `ALTER TABLE "public"."not_unique" DROP CONSTRAINT "not_unique_v_key"`,
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
    const isPaused = async (): Promise<boolean> => (await messageOf(resource, database)).includes("paused");
    await until("it is paused", isPaused);
    assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /is paused/);
    await resource.update({ triggerCutover: false });
    // It may wait for days, and outlives the sessions in which it does.
    await until("it is paused again", isPaused);
    const ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
    await lab.source.query(ours);
    const { worker } = await resource.refresh();
    const ran = new Set<string>();
    while (ran.size < changes.length) {
      let named: string[] = [];
      await until("a statement is named", async () => {
        const message = await messageOf(resource, database);
        assert.doesNotMatch(message, /"heir"/, "what is done to its parent is done to it");
        assert.doesNotMatch(message, /only_here/, "what was made on the target was not dropped on the source");
        named = changes.map(([, , , statement]) => statement).filter((one) => !ran.has(one) && message.includes(one));
        return named.length > 0;
      });
      for (const statement of named) {
        await onTarget(database, statement);
        ran.add(statement);
      }
    }
    await onTarget(database, "DROP TABLE only_here");
    const status = await resource.update({ triggerCutover: true });
    assert.equal(status.state, "Succeeded");
    assert.equal(status.worker.pid, worker.pid);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("carries over what becomes of types, rules, defaults, partitions and sequences, so that nothing is refused on the way", async () => {
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
    const resource = await follow(database);
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
    assert.deepEqual(await onTarget(database, shape), await lab.source.query(shape, { database }));
    await resource.destroy();
  });

  it("replaces a key with an index at hand for the rows of before and after, and drops nothing that only the target has", async () => {
    const database = await lab.database(`
      CREATE TABLE parent (id int CONSTRAINT "Key" PRIMARY KEY, code int NOT NULL, v text);
      CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES parent);
      CREATE VIEW grouped AS SELECT id, v FROM parent GROUP BY id; CREATE VIEW upon AS SELECT count(*) FROM grouped;
      CREATE TABLE kept (id int CONSTRAINT kept_key PRIMARY KEY, code int NOT NULL, v text);
      INSERT INTO parent SELECT i, i, 'a' FROM generate_series(1, 50) i; INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
      INSERT INTO kept SELECT i, i, 'a' FROM generate_series(1, 50) i`);
    const resource = await follow(database);
    await onTarget(database, "CREATE VIEW only_here AS SELECT id, v FROM public.kept GROUP BY id");
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
    await until("indexes stand in for the key", async () => (await created()).length === 2);
    const keys =
      "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1";
    await until("the key is the source's", async () => (await onTarget(database, keys)).length === 4);

    await lab.source.query(
      `UPDATE kept SET v = 'before'; ALTER TABLE kept DROP CONSTRAINT kept_key, ADD CONSTRAINT kept_key PRIMARY KEY (code);
       UPDATE kept SET id = 1`,
      { database },
    );
    const statement = `DROP VIEW IF EXISTS public.only_here; ALTER TABLE "public"."kept" DROP CONSTRAINT IF EXISTS "kept_key"`;
    await until("the statement is named", async () => (await messageOf(resource, database)).includes(statement));
    assert.equal((await onTarget(database, "SELECT FROM only_here")).length, 50);
    await onTarget(database, statement);
    await until("it goes on", async () => (await messageOf(resource, database)) === "");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    assert.deepEqual(await onTarget(database, keys), await lab.source.query(keys, { database }));
    assert.deepEqual(await onTarget(database, "SELECT count FROM upon"), [{ count: "50" }]);
    assert.deepEqual(await onTarget(database, "SELECT relname FROM pg_class WHERE relname LIKE 'pg\\_migration%'"), []);
    await resource.destroy();
  });

  it("notices labels that change places, whose names are the same ones as before", async () => {
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

  it("looks once more at the cutover's point, and behind the fence, whatever is compared", async () => {
    const database = await lab.database(`
      CREATE TYPE side AS ENUM ('left', 'right'); CREATE TYPE pair AS (a int, b int);
      CREATE TABLE sides (id int PRIMARY KEY, s side, p pair); INSERT INTO sides VALUES (1, 'left', '(1,2)');
      CREATE MATERIALIZED VIEW refreshed AS SELECT 1 AS one`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", verification: "none" }));
    const open = await lab.source.connect(database);
    await open.query("BEGIN; SELECT txid_current()");
    const refused = Resource.failure(resource.update({ triggerCutover: true }));
    await until("the point is being marked, and all has been carried over", async () => {
      const slots = await lab.source.query("SELECT FROM pg_replication_slots WHERE temporary");
      return slots.length > 0;
    });
    await lab.source.query(
      `ALTER TYPE side RENAME VALUE 'left' TO 'x'; ALTER TYPE side RENAME VALUE 'right' TO 'left'; ALTER TYPE side RENAME VALUE 'x' TO 'right';
       ALTER TYPE pair DROP ATTRIBUTE a, ADD ATTRIBUTE a int`,
      { database },
    );
    await open.end();
    const [, statements] = /on the target, in \w+: (.*); the stream/s.exec(await refused) ?? [];
    assert.match(statements ?? "", /RENAME VALUE 'left' TO .*DROP ATTRIBUTE "a"/s);
    await onTarget(database, statements!);
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; SELECT FROM refreshed");
    const cutOver = resource.update({ fence: "readOnly" });
    await until("the cutover waits behind its point", async () => {
      const waiting = await lab.target.query(
        "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ 'REFRESH'",
        { values: [database] },
      );
      return waiting.length > 0;
    });
    const escaped = await lab.source.connect(database);
    await escaped.query("SET default_transaction_read_only = off");
    await escaped.query("GRANT SELECT ON sides TO pg_monitor");
    await escaped.end();
    await reader.end();
    assert.equal((await cutOver).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const granted = "SELECT has_table_privilege('pg_monitor', 'sides', 'SELECT') AS granted";
    assert.deepEqual(await onTarget(database, granted), [{ granted: true }]);
    await resource.destroy();
  });

  it("pauses for what values are made of, and for a schema's name", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text); CREATE SCHEMA "Old";
      CREATE TYPE side AS ENUM ('left', 'right'); CREATE DOMAIN "Sided" AS side; CREATE TYPE place AS (s "Sided"[]); CREATE TYPE turned AS (a int, b int);
      CREATE TABLE sides (id int PRIMARY KEY, s side, p place); INSERT INTO sides VALUES (1, 'left', '({right})');
      CREATE TABLE turns (t turned); INSERT INTO turns VALUES ('(1,2)');
      CREATE TABLE feels (id int PRIMARY KEY, m mood[]); INSERT INTO feels VALUES (1, '{sad}');
      CREATE TYPE twice AS ENUM ('first'); CREATE TABLE twices (id int PRIMARY KEY, t twice); INSERT INTO twices VALUES (1, 'first');
      CREATE TYPE person AS (a int, b text); CREATE TABLE people OF person (PRIMARY KEY (a)); INSERT INTO people VALUES (1, 'b');
      CREATE TABLE parent (id int, v text); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (1, 'v');
      CREATE TABLE paired (id int PRIMARY KEY, p pair); INSERT INTO paired VALUES (1, '(1,b)');
      CREATE TABLE computed (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO computed VALUES (1);
      CREATE TABLE parted (id int PRIMARY KEY, v text, w text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1, 'v', 'w');
      CREATE TABLE "Old".t (id serial PRIMARY KEY, m mood); INSERT INTO "Old".t (m) VALUES ('sad')`);
    const resource = await follow(database);
    const changes: readonly (readonly [older: string, ddl: string, newer: string, expected: string])[] = [
      [
        "INSERT INTO feels VALUES (2, '{sad,happy}')",
        "ALTER TYPE mood ADD VALUE 'so so' BEFORE 'happy'; ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
        "INSERT INTO feels VALUES (3, '{low}'), (4, '{so so}')",
        `ALTER TYPE "public"."mood" RENAME VALUE 'sad' TO 'low'`,
      ],
      [
        "INSERT INTO sides VALUES (2, 'right', '({left})')",
        "ALTER TYPE side RENAME VALUE 'left' TO 'x'; ALTER TYPE side RENAME VALUE 'right' TO 'left'; ALTER TYPE side RENAME VALUE 'x' TO 'right'",
        "INSERT INTO sides VALUES (3, 'left', '({right})'); UPDATE sides SET id = 4 WHERE s = 'right'",
        `ALTER TYPE "public"."side" RENAME VALUE 'left' TO 'left (renamed)'; ALTER TYPE "public"."side" RENAME VALUE 'right' TO 'left'; ALTER TYPE "public"."side" RENAME VALUE 'left (renamed)' TO 'right'`,
      ],
      [
        "INSERT INTO turns VALUES ('(3,4)')",
        "ALTER TYPE turned DROP ATTRIBUTE a, ADD ATTRIBUTE a int",
        "INSERT INTO turns VALUES ('(5,6)')",
        `ALTER TYPE "public"."turned" DROP ATTRIBUTE "a"; ALTER TYPE "public"."turned" ADD ATTRIBUTE "a" integer`,
      ],
      [
        "INSERT INTO paired VALUES (2, '(2,b)')",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
        "INSERT INTO paired VALUES (3, '(3,b,3)')",
        `ALTER TYPE "public"."pair" ADD ATTRIBUTE "c" integer`,
      ],
      [
        "INSERT INTO twices VALUES (2, 'first')",
        "ALTER TYPE twice RENAME VALUE 'first' TO 'second'; INSERT INTO twices VALUES (3, 'second'); ALTER TYPE twice RENAME VALUE 'second' TO 'third'",
        "INSERT INTO twices VALUES (4, 'third')",
        `ALTER TYPE "public"."twice" RENAME VALUE 'first' TO 'third'`,
      ],
      [
        "INSERT INTO people VALUES (2, 'b')",
        "ALTER TYPE person ADD ATTRIBUTE c int CASCADE; ALTER TYPE person RENAME ATTRIBUTE b TO d CASCADE",
        "INSERT INTO people VALUES (3, 'd', 3)",
        `ALTER TYPE "public"."person" ADD ATTRIBUTE "c" integer CASCADE; ALTER TYPE "public"."person" RENAME ATTRIBUTE "b" TO "d" CASCADE`,
      ],
      [
        "INSERT INTO heir VALUES (2, 'v')",
        "ALTER TABLE heir NO INHERIT parent; ALTER TABLE heir DROP COLUMN v",
        "INSERT INTO heir VALUES (3)",
        `ALTER TABLE "public"."heir" DROP COLUMN "v"`,
      ],
      [
        "INSERT INTO computed VALUES (2)",
        "ALTER TABLE computed ALTER g DROP EXPRESSION",
        "INSERT INTO computed VALUES (3, 5)",
        `ALTER TABLE "public"."computed" ALTER COLUMN "g" DROP EXPRESSION`,
      ],
      [
        "INSERT INTO parted VALUES (2, 'older', 'older')",
        "ALTER TABLE parted RENAME v TO x; ALTER TABLE parted RENAME w TO y",
        "INSERT INTO parted VALUES (3, 'newer', 'newer')",
        `ALTER TABLE "public"."parted" RENAME COLUMN "v" TO "x"; ALTER TABLE "public"."parted" RENAME COLUMN "w" TO "y"`,
      ],
      [
        `INSERT INTO "Old".t (m) VALUES ('happy')`,
        `ALTER SCHEMA "Old" RENAME TO "New"`,
        `INSERT INTO "New".t (m) VALUES ('low')`,
        `ALTER SCHEMA "Old" RENAME TO "New"`,
      ],
    ];
    const waiting = new Set(changes.map(([, , , statement]) => statement));
    const write = async (...statements: readonly string[]): Promise<void> => {
      for (const sql of statements) await lab.source.query(sql, { database });
    };
    for (const [index, [older, ddl, newer, statement]] of changes.entries()) {
      await write(older, ...ddl.split("; "));
      // The others come while the stream rests, which has rows of their older shapes before it still.
      if (index === 0) await until("it rests", async () => (await messageOf(resource, database)).includes(statement));
      await write(newer);
    }
    // It looks each second: a statement that is named too early is in the message by then.
    await sleep(3000);
    while (waiting.size > 0) {
      let named: string[] = [];
      await until(
        "a statement is named",
        async () => {
          const message = await messageOf(resource, database);
          named = [...waiting].filter((statement) => message.includes(statement));
          return named.length > 0;
        },
        90,
      );
      for (const statement of named) {
        await onTarget(database, statement);
        waiting.delete(statement);
      }
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("carries over, at the cutover, what no change of a table tells of; what the target cannot be given stands before it", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v');
      CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER always BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();
      ALTER TABLE t ENABLE ALWAYS TRIGGER always;
      CREATE TABLE "Kept" (id int PRIMARY KEY, v text, w text); COMMENT ON TABLE "Kept" IS 'before'; COMMENT ON COLUMN "Kept".w IS 'before'; COMMENT ON COLUMN "Kept".id IS 'same';
      CREATE TRIGGER seldom BEFORE INSERT ON "Kept" FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE RULE kept AS ON DELETE TO "Kept" DO INSTEAD NOTHING;
      CREATE TEXT SEARCH CONFIGURATION searched (COPY = simple); CREATE INDEX computed ON "Kept" ((id % 7));
      GRANT SELECT, INSERT ON "Kept" TO pg_monitor; ALTER TABLE "Kept" SET (fillfactor = 50, autovacuum_enabled = false), ALTER v SET STATISTICS 50;
      CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); ALTER TABLE "Kept" ADD k int CONSTRAINT kept_k REFERENCES t; CREATE VIEW filled AS SELECT id FROM t;
      CREATE TEXT SEARCH DICTIONARY stops (TEMPLATE = simple, Accept = false); CREATE STATISTICS both_of ON v, w FROM "Kept"; CREATE PUBLICATION users FOR TABLE t`);
    for (const server of [lab.source, lab.target]) await server.query('CREATE ROLE "New Owner"');
    await lab.target.query(`GRANT "New Owner" TO ${lab.administrator.user}`);
    const resource = await follow(database);
    await onTarget(database, `COMMENT ON COLUMN "Kept".id IS 'of the target'`);
    await lab.source.query(
      `COMMENT ON TABLE "Kept" IS 'it''s'; COMMENT ON COLUMN "Kept".w IS NULL; COMMENT ON FUNCTION fires() IS 'fires'; COMMENT ON CONSTRAINT "Kept_pkey" ON "Kept" IS 'key';
       ALTER TABLE "Kept" RESET (autovacuum_enabled), SET (fillfactor = 70, toast.autovacuum_enabled = false), ALTER v SET STATISTICS -1, ALTER w SET STATISTICS 200,
             ALTER v SET STORAGE EXTERNAL, ALTER v SET (n_distinct = 5), ALTER w SET COMPRESSION pglz, ENABLE ROW LEVEL SECURITY,
             ENABLE ALWAYS TRIGGER seldom, DISABLE RULE kept, OWNER TO "New Owner";
       ALTER TEXT SEARCH CONFIGURATION searched ALTER MAPPING FOR word, int WITH english_stem, simple; ALTER TEXT SEARCH CONFIGURATION searched DROP MAPPING FOR email;
       ALTER INDEX computed ALTER COLUMN 1 SET STATISTICS 77; ALTER TABLE fast SET LOGGED; ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey; CLUSTER "Kept" USING "Kept_pkey";
       ALTER TABLE "Kept" ALTER CONSTRAINT kept_k DEFERRABLE INITIALLY DEFERRED; ALTER VIEW filled ALTER id SET DEFAULT 5; ALTER TEXT SEARCH DICTIONARY stops (Accept = true);
       ALTER STATISTICS both_of SET STATISTICS 9; ALTER PUBLICATION users SET (publish = 'insert');
       ALTER INDEX "Kept_pkey" SET (fillfactor = 60); REVOKE INSERT ON "Kept" FROM pg_monitor; GRANT UPDATE (v) ON "Kept" TO pg_monitor;
       ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
       CREATE COLLATION "Posix" FROM "C"; CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
       CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int); CREATE TYPE pair AS (a int);
       CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1)::pair'; CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
       CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER later_on ON ddl_command_end EXECUTE FUNCTION told();
       CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far`,
      { database },
    );
    await lab.source.query(
      `CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
       CREATE VIEW twice AS SELECT doubled(id) FROM t;
       CREATE TRIGGER too BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fires();
       CREATE POLICY own ON t USING (true);
       CREATE VIEW taken AS SELECT v FROM t`,
      { database },
    );
    await onTarget(database, "CREATE SEQUENCE taken");
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refused, /not cut over: the target lacks view public\.taken, .*drop it on the source/s);
    assert.deepEqual(resource.status.cutoverTimeline, []);
    await onTarget(database, "DROP SEQUENCE taken");
    const storage = "ALTER TABLE ONLY public.t ALTER COLUMN v SET STORAGE EXTERNAL";
    await lab.source.query(`${storage}; INSERT INTO t VALUES (2, 'after')`, { database });
    const reader = await lab.target.connect(database, lab.administrator);
    await reader.query("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE");
    const isNamed = async (): Promise<boolean> =>
      (await lab.target.query<{ object: string }>("SELECT object FROM pgmigration.finding")).some(
        ({ object }) => object === storage,
      );
    const [cutOver] = await Promise.all([
      resource.update({}),
      until("a setting that waits for a reader is named", isNamed).finally(() => reader.end()),
    ]);
    assert.equal(cutOver.state, "Succeeded");
    const [row] = await onTarget(database, "SELECT count(*)::int AS n, sum(doubled)::int AS sum FROM twice");
    assert.deepEqual(row, { n: 2, sum: 6 });
    const triggers = await onTarget(database, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1");
    assert.deepEqual(triggers, [{ tgname: "always" }, { tgname: "seldom" }, { tgname: "too" }]);
    const kept = `
      SELECT obj_description('"Kept"'::regclass) AS comment, obj_description('fires()'::regprocedure) AS function, col_description('"Kept"'::regclass, 3) AS column,
             (SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'Kept_pkey') AS key,
             c.reloptions AS options, (SELECT reloptions FROM pg_class WHERE oid = '"Kept_pkey"'::regclass) AS index, (SELECT reloptions FROM pg_class WHERE oid = c.reltoastrelid) AS toast,
             c.relrowsecurity, c.relforcerowsecurity,
             (SELECT json_agg(json_build_array(nullif(attstattarget, -1), attstorage, attcompression, attoptions) ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS columns,
             (SELECT json_agg(json_build_array(e.privilege_type) ORDER BY 1) FROM aclexplode(relacl) AS e WHERE e.grantee = 'pg_monitor'::regrole) AS privileges,
             (SELECT json_agg(json_build_array(attname, e.privilege_type)) FROM pg_attribute, aclexplode(attacl) AS e WHERE attrelid = c.oid AND e.grantee = 'pg_monitor'::regrole) AS granted,
             (SELECT tgenabled FROM pg_trigger WHERE tgname = 'seldom') AS trigger, (SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'kept') AS rule,
             pg_get_userbyid(c.relowner) AS owner, (SELECT count(*)::int FROM pg_collation WHERE collname = 'Posix') AS collations,
             (SELECT count(*)::int FROM pg_ts_dict WHERE dictname = 'plain') AS dictionaries, (SELECT count(*)::int FROM pg_ts_config WHERE cfgname = 'mine') AS configurations,
             (SELECT json_agg(json_build_array(maptokentype, mapseqno, mapdict::regdictionary) ORDER BY maptokentype, mapseqno) FROM pg_ts_config_map WHERE mapcfg = 'searched'::regconfig) AS mapping,
             (SELECT attstattarget FROM pg_attribute WHERE attrelid = 'computed'::regclass) AS computed,
             (SELECT relpersistence FROM pg_class WHERE oid = 'fast'::regclass) AS logged, (SELECT relreplident FROM pg_class WHERE oid = 't'::regclass) AS identity,
             (SELECT indisclustered FROM pg_index WHERE indexrelid = '"Kept_pkey"'::regclass) AS clustered, (SELECT condeferred FROM pg_constraint WHERE conname = 'kept_k') AS deferred,
             (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'filled'::regclass) AS filled, (SELECT dictinitoption FROM pg_ts_dict WHERE dictname = 'stops') AS options_of_stops,
             (SELECT stxstattarget FROM pg_statistic_ext) AS target, (SELECT json_agg(json_build_array(pubinsert, pubupdate)) FROM pg_publication WHERE pubname = 'users') AS told,
             1 === 1 AS operator, (3::pair).a AS cast
        FROM pg_class c WHERE c.oid = '"Kept"'::regclass`;
    assert.deepEqual(await onTarget(database, kept), await lab.source.query(kept, { database }));
    const [own] = await onTarget(database, `SELECT col_description('"Kept"'::regclass, 1) AS comment`);
    assert.deepEqual(own, { comment: "of the target" });
    const named = await lab.target.query<{ object: string }>(
      "SELECT object FROM pgmigration.finding WHERE database = $1 AND type = 'SchemaValidation'",
      { values: [database] },
    );
    // What only a superuser may make, and privileges that only their grantor may give.
    for (const object of [
      "SERVER away",
      "FOREIGN DATA WRAPPER far",
      "EVENT TRIGGER later_on",
      "DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES",
    ])
      assert(
        named.some((finding) => finding.object === object),
        object,
      );
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("carries over, at the cutover, what was replaced under its name; what cannot be stands before it", async () => {
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
    const resource = await follow(database);
    await onTarget(database, "CREATE VIEW only_here AS SELECT 1 AS one");
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
    await onTarget(database, "CREATE FUNCTION only_there(kept) RETURNS int LANGUAGE sql AS 'SELECT 1'");
    // Notices the new table, and gives the target no older definition for a newer one by that.
    await lab.source.query("CREATE TABLE late (id int PRIMARY KEY)", { database });
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(
      refused,
      /function public\.typed\(\) was changed .*cannot change return type.*DROP function public\.typed\(\)/s,
    );
    await onTarget(database, "DROP FUNCTION typed()");
    assert.equal((await resource.update({})).state, "Succeeded");
    const [row] = await onTarget(
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
      /was changed on the source .* the target has it as it was: .*cannot drop type public\.kept/s,
    );
    const named = await lab.target.query(
      "SELECT object, remedy FROM pgmigration.finding WHERE database = $1 AND message LIKE '%was dropped on the source%' ORDER BY object",
      { values: [database] },
    );
    const unless = "on the target, unless it is needed there:";
    assert.deepEqual(named, [
      { object: "collation public.dropped", remedy: `${unless} DROP COLLATION public.dropped` },
      { object: `domain public."Less"`, remedy: `${unless} DROP DOMAIN public."Less"` },
      { object: "extension tablefunc", remedy: `${unless} DROP EXTENSION tablefunc` },
      {
        object: "function public.dropped(integer, text)",
        remedy: `${unless} DROP function public.dropped(integer, text)`,
      },
      { object: "operator public.===(integer,integer)", remedy: `${unless} DROP OPERATOR public.===(integer,integer)` },
      { object: `rule public."Dropped".dropped`, remedy: `${unless} DROP RULE dropped ON public."Dropped"` },
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

  it("leaves out what is made beyond the filter, and is cut over all the same", async () => {
    const database = await lab.database("CREATE SCHEMA private; CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", exclude: { schemas: ["private"] } }));
    await lab.source.query("CREATE TABLE private.late (id int PRIMARY KEY); CREATE VIEW private.seen AS SELECT 1", {
      database,
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await onTarget(database, "SELECT FROM pg_namespace WHERE nspname = 'private'"), []);
    await resource.destroy();
  });

  it("demands what the source came to demand only of the rows from then on: NOT NULL, a check of a domain, a foreign key", async () => {
    const database = await lab.database(`
      CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1); CREATE TABLE noticed (id int PRIMARY KEY);
      CREATE DOMAIN whole AS int; CREATE TABLE strict (id int PRIMARY KEY, v text, d whole);
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int PRIMARY KEY, parent int); INSERT INTO child VALUES (1, 5)`);
    const resource = await follow(database);
    /** Its changes come to the target when the new column, which is added at once, has told that the schema is looked at. */
    const behindObstacle = async (sql: string, column: string): Promise<void> => {
      const obstacle = await lab.target.connect(database);
      try {
        await obstacle.query("BEGIN; LOCK TABLE other IN ACCESS EXCLUSIVE MODE");
        await lab.source.query(`UPDATE other SET id = id + 1; ${sql}; ALTER TABLE noticed ADD COLUMN ${column} int`, {
          database,
        });
        await until("the schema is looked at", async () => {
          const found = await onTarget(database, `SELECT FROM pg_attribute WHERE attname = '${column}'`);
          return found.length === 1;
        });
        // Time enough for what must not be done yet.
        await new Promise((resolve) => setTimeout(resolve, 1000));
      } finally {
        await obstacle.end();
      }
    };
    await behindObstacle(
      // What a TRUNCATE lies between is not taken together.
      `INSERT INTO strict VALUES (1, NULL, -1); TRUNCATE parent; UPDATE strict SET v = 'v', d = 1;
       ALTER TABLE strict ALTER v SET NOT NULL; ALTER DOMAIN whole ADD CONSTRAINT positive CHECK (value > 0)`,
      "one",
    );
    await until("the target demands it as well", async () => {
      const demanded = await onTarget(
        database,
        "SELECT FROM pg_attribute, pg_constraint WHERE attrelid = 'strict'::regclass AND attname = 'v' AND attnotnull AND conname = 'positive'",
      );
      return demanded.length === 1;
    });
    await behindObstacle(
      "INSERT INTO parent VALUES (5); ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent",
      "two",
    );
    await until("it is valid", async () => {
      const keys = await onTarget(database, "SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated");
      return keys.length === 1;
    });
    const { validationDetails } = (await resource.refresh()).currentSubStateDetails;
    assert.doesNotMatch(JSON.stringify(validationDetails), /NOT VALID/);
    await resource.destroy();
    await assertSameContent(...lab.places(database));
  });

  it("copies anew what the stream cannot tell: rows that ALTER TABLE has written, shapes that were there for a while only", async () => {
    const rows = "SELECT i, i, 'v' FROM generate_series(1, 20) i";
    const database = await lab.database(`
      CREATE TABLE doubled (id int PRIMARY KEY, n int, v text); INSERT INTO doubled ${rows};
      CREATE TABLE within (id int PRIMARY KEY, n int, v text); INSERT INTO within ${rows};
      CREATE TABLE there_and_back (id int PRIMARY KEY, n int, v text); INSERT INTO there_and_back ${rows};
      CREATE TYPE pair AS (a int, b int); CREATE TABLE paired (id int PRIMARY KEY, p pair[]);
      CREATE TABLE computed (id int PRIMARY KEY, n int, v text, g int GENERATED ALWAYS AS (n + 1) STORED); INSERT INTO computed ${rows}`);
    const resource = await follow(database);
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

  it("copies anew what has lost a column on the target, where it says who has altered what it pauses for", async () => {
    const database = await lab.database(`
      CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (id int PRIMARY KEY, m mood NOT NULL, v text DEFAULT 'd'); CREATE INDEX t_m ON t (m);
      INSERT INTO t SELECT i, 'happy', 'v' FROM generate_series(1, 9) i;
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
      INSERT INTO parted VALUES (1, 'v'); CREATE TABLE other (id int PRIMARY KEY)`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", verification: "none" }));
    await onTarget(database, "DROP TYPE mood CASCADE; ALTER TABLE t DROP COLUMN v; ALTER TABLE parted DROP COLUMN v");
    await lab.source.query("UPDATE t SET v = 'w' WHERE id = 1; INSERT INTO other VALUES (1)", { database });
    await until("the stream has come to the table, which is copied anew", async () => {
      const [row] = await onTarget(
        database,
        "SELECT count(*)::int AS n FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v' AND NOT attisdropped",
      );
      return row!.n === 1;
    });
    await onTarget(database, "ALTER TABLE other ADD COLUMN only_here int");
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refused, /the target's schema has changed .*ALTER TABLE "public"."other" DROP COLUMN "only_here"/s);
    await onTarget(database, "ALTER TABLE other DROP COLUMN only_here");
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const shape = `SELECT (SELECT json_agg(json_build_array(attname, attnotnull, atthasdef) ORDER BY attname) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped) AS columns,
                          to_regclass('t_m') IS NOT NULL AS index`;
    assert.deepEqual(await onTarget(database, shape), await lab.source.query(shape, { database }));
    const told = await lab.target.query(
      "SELECT FROM pgmigration.event WHERE database = $1 AND level = 'warning' AND message LIKE '%has lost columns on the target%'",
      { values: [database] },
    );
    assert(told.length > 0);
    await resource.destroy();
  });

  it("brings what a column is made of: types, sequences, schemas; rows whose default differs are copied anew", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT 21 - i FROM generate_series(1, 20) i;
      CREATE TABLE numbered (id int PRIMARY KEY); INSERT INTO numbered SELECT 21 - i FROM generate_series(1, 20) i;
      CREATE TABLE moved (id int PRIMARY KEY)`);
    const resource = await follow(database);
    await lab.source.query(
      `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS int CHECK (value > 0);
       ALTER TABLE t ADD COLUMN m mood, ADD COLUMN p positive; UPDATE t SET m = 'happy', p = id`,
      { database },
    );
    await lab.source.query("ALTER TABLE numbered ADD COLUMN n serial; INSERT INTO numbered VALUES (100)", { database });
    await lab.source.query('CREATE SCHEMA "New"; ALTER TABLE moved SET SCHEMA "New"', { database });
    for (const statement of [
      `ALTER TABLE "public"."numbered" ADD COLUMN "n" integer DEFAULT nextval('public.numbered_n_seq'::regclass) NOT NULL`,
      `ALTER TABLE "public"."moved" SET SCHEMA "New"`,
    ]) {
      await until(`${statement} is named`, async () => (await messageOf(resource, database)).includes(statement));
      await onTarget(database, statement);
    }
    await until("it goes on", async () => (await messageOf(resource, database)) === "");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("does not take a table for one of the same columns that has made room for it", async () => {
    const database = await lab.database(`
      CREATE TABLE live (id int PRIMARY KEY, v text); INSERT INTO live SELECT i, 'old' FROM generate_series(1, 20) i;
      CREATE TABLE next (id int PRIMARY KEY, v text); INSERT INTO next SELECT i, 'new' FROM generate_series(1, 20) i;
      CREATE TABLE p (id int PRIMARY KEY, w text) PARTITION BY RANGE (id);
      CREATE TABLE p_old PARTITION OF p FOR VALUES FROM (0) TO (100); INSERT INTO p SELECT i, 'old' FROM generate_series(1, 20) i`);
    const resource = await follow(database);
    await lab.source.query(
      `DROP TABLE p_old; CREATE TABLE p_new PARTITION OF p FOR VALUES FROM (0) TO (100);
       INSERT INTO p SELECT i, 'new' FROM generate_series(5, 30) i`,
      { database },
    );
    const dropped = `DROP TABLE "public"."p_old"`;
    await until("the statement is named", async () => (await messageOf(resource, database)).endsWith(dropped));
    await onTarget(database, dropped);
    await until("it goes on", async () => (await messageOf(resource, database)) === "");
    await lab.source.query(
      `BEGIN; ALTER TABLE live RENAME TO past; ALTER TABLE next RENAME TO live;
       ALTER INDEX live_pkey RENAME TO past_pkey; ALTER INDEX next_pkey RENAME TO live_pkey; COMMIT;
       UPDATE live SET v = 'newer' WHERE id < 4; UPDATE past SET v = 'older' WHERE id > 15`,
      { database },
    );
    const statement = `DROP TABLE "public"."next"`;
    await until("the statement is named", async () => (await messageOf(resource, database)).endsWith(statement));
    await onTarget(database, statement);
    await until("it goes on", async () => (await messageOf(resource, database)) === "");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("24: follows what becomes of keys, so that the source's own updates go on and are not lost", async () => {
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
    await until("the source's update goes on", () => update("losing"));
    const drop = `ALTER TABLE "public"."losing" DROP CONSTRAINT "losing_pkey"`;
    await until("the statement is named", async () => (await messageOf(losing, database)).includes(drop));
    await onTarget(database, drop);
    await until("it goes on", async () => (await messageOf(losing, database)) === "");
    assert.equal((await losing.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await losing.destroy();

    await lab.target.query(`DROP DATABASE ${database}`);
    const gaining = await follow(database);
    await lab.source.query("ALTER TABLE gaining ADD PRIMARY KEY (id)", { database });
    const isCopied = "SELECT FROM pg_constraint WHERE conname = 'gaining_pkey'";
    await until("the key is carried over", async () => (await onTarget(database, isCopied)).length === 1);
    assert(await update("gaining"));
    // Nothing but the catalogues tells of these by now.
    await lab.source.query(`GRANT SELECT ON gaining TO pg_monitor; CREATE COLLATION "Only" FROM "C"`, { database });
    assert.equal((await gaining.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const carried = `SELECT has_table_privilege('pg_monitor', 'gaining', 'SELECT') AS granted, count(*)::int AS collations FROM pg_collation WHERE collname = 'Only'`;
    assert.deepEqual(await onTarget(database, carried), [{ granted: true, collations: 1 }]);
    await gaining.destroy();
  });
});
