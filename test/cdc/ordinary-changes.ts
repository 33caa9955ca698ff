import assert from "node:assert/strict";
import type { OutputPlugin } from "../../provider/src/cdc/source/slot";
import type { AzureLikeOptions } from "../support/servers/azure-like";
import type { Major } from "../support/servers/embedded-server";
import { Stage } from "./apply/stage";

interface Case {
  readonly title: string;
  /** The first major version of the source that supports the case. */
  readonly from?: number;
  readonly ddl: string;
  /** Each string is a separate transaction. */
  readonly changes: readonly string[];
  /** Whether some batches need the source's order. */
  readonly ordered?: boolean;
}

const long = (seed: string): string => `(SELECT string_agg(md5('${seed}' || i), '') FROM generate_series(1, 400) i)`;

const cases: readonly Case[] = [
  {
    title: "key updates, key swaps, and a key deleted and inserted again",
    ddl: `CREATE TABLE t (a int, b text, v text, PRIMARY KEY (a, b));
          INSERT INTO t SELECT i, 'k', 'v' || i FROM generate_series(1, 50) i`,
    changes: [
      "UPDATE t SET a = a + 100 WHERE a <= 20",
      "UPDATE t SET b = 'K' WHERE a = 30",
      `UPDATE t SET a = -1 WHERE a = 40; UPDATE t SET a = 40 WHERE a = 41; UPDATE t SET a = 41 WHERE a = -1`,
      "DELETE FROM t WHERE a = 45; INSERT INTO t VALUES (45, 'k', 'again')",
      "INSERT INTO t VALUES (999, 'k', 'short-lived'); UPDATE t SET v = 'still' WHERE a = 999; DELETE FROM t WHERE a = 999",
      "INSERT INTO t VALUES (998, 'k', 'one'); UPDATE t SET v = 'two' WHERE a = 998; UPDATE t SET a = 997 WHERE a = 998",
      "DELETE FROM t WHERE a = 46; INSERT INTO t VALUES (46, 'k', 'x'); DELETE FROM t WHERE a = 46; INSERT INTO t VALUES (46, 'k', 'y')",
    ],
  },
  {
    title: "unique and exclusion constraints whose values move between rows, with changes of another table",
    ddl: `CREATE TABLE u (id int PRIMARY KEY, slot int UNIQUE, seat int UNIQUE DEFERRABLE INITIALLY DEFERRED);
          CREATE TABLE booked (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
          CREATE TABLE beside (id int PRIMARY KEY, v text);
          INSERT INTO u SELECT i, i, i FROM generate_series(1, 20) i;
          INSERT INTO booked SELECT i, int4range(10 * i, 10 * i + 10) FROM generate_series(1, 20) i`,
    changes: [
      // One update after another would give row 1 the value of row 2 while row 2 still has it.
      "UPDATE u SET slot = -1 WHERE id = 1; UPDATE u SET slot = 1 WHERE id = 2; UPDATE u SET slot = 2 WHERE id = 1",
      "UPDATE u SET seat = 21 - seat",
      "UPDATE u SET slot = -5 WHERE id = 5; INSERT INTO u VALUES (50, 5, 50)",
      "INSERT INTO beside VALUES (1, 'one'); UPDATE beside SET v = 'two'",
      `UPDATE booked SET during = 'empty' WHERE id = 1; UPDATE booked SET during = '[10,20)' WHERE id = 2;
       UPDATE booked SET during = '[20,30)' WHERE id = 1`,
    ],
  },
  {
    title:
      "unique constraints that only the source's order satisfies, with an unchanged long value that the stream omits",
    ddl: `CREATE TABLE u (id int PRIMARY KEY, slot int UNIQUE, long text);
          CREATE TABLE beside (id int PRIMARY KEY, v text);
          ALTER TABLE u ALTER long SET STORAGE EXTERNAL;
          INSERT INTO u SELECT i, i, ${long("a")} FROM generate_series(1, 20) AS g (i)`,
    changes: [
      "UPDATE u SET slot = -1 WHERE id = 1; UPDATE u SET slot = 1 WHERE id = 2; UPDATE u SET slot = 2 WHERE id = 1",
      "INSERT INTO beside VALUES (1, 'one'); UPDATE beside SET v = 'two'",
    ],
    ordered: true,
  },
  {
    title: "values that an update leaves in their TOAST table",
    ddl: `CREATE TABLE big (id int PRIMARY KEY, n int, body text, bin bytea, doc jsonb);
          ALTER TABLE big ALTER body SET STORAGE EXTERNAL;
          INSERT INTO big SELECT i, 0, ${long("a")} || i, decode(${long("b")}, 'hex'),
                 jsonb_build_object('k', ${long("c")}, 'i', i) FROM generate_series(1, 10) i`,
    changes: [
      "UPDATE big SET n = n + 1",
      `UPDATE big SET n = n + 1 WHERE id = 1; UPDATE big SET body = ${long("d")} WHERE id = 1; UPDATE big SET n = n + 1 WHERE id = 1`,
      `INSERT INTO big VALUES (11, 0, ${long("e")}, decode(${long("f")}, 'hex'), '{"a": 1}'); UPDATE big SET n = 7 WHERE id = 11`,
      "UPDATE big SET id = id + 100 WHERE id BETWEEN 3 AND 5",
      `INSERT INTO big VALUES (12, 0, ${long("g")}, NULL, NULL); UPDATE big SET id = 112 WHERE id = 12`,
      `UPDATE big SET bin = NULL WHERE id = 6; UPDATE big SET n = 1, doc = NULL WHERE id = 7; DELETE FROM big WHERE id = 8`,
    ],
  },
  {
    title: "one of several equal rows under REPLICA IDENTITY FULL, NULLs and types without equality",
    ddl: `CREATE TABLE f (a int, b text, j json, x xml, p point, n numeric, c char(5), r real[], k boolean, i inet);
          ALTER TABLE f REPLICA IDENTITY FULL;
          INSERT INTO f SELECT i % 3, NULL, '{"a":  1}', '<a/>', '(1,2.5)', 1.10, 'ab', '{1.5,NULL}', true, '10.0.0.1' FROM generate_series(1, 9) i`,
    changes: [
      "DELETE FROM f WHERE ctid = (SELECT ctid FROM f WHERE a = 0 LIMIT 1)",
      "UPDATE f SET b = 'changed', j = '[]', p = NULL WHERE ctid = (SELECT ctid FROM f WHERE a = 1 LIMIT 1)",
      "INSERT INTO f SELECT * FROM f WHERE a = 2; DELETE FROM f WHERE ctid IN (SELECT ctid FROM f WHERE a = 2 LIMIT 4)",
      "UPDATE f SET n = 1.1 WHERE ctid = (SELECT ctid FROM f WHERE a = 1 AND b IS NULL LIMIT 1)",
      "UPDATE f SET a = NULL; UPDATE f SET c = NULL, k = NULL WHERE b IS NOT NULL",
    ],
  },
  {
    title: "equal rows and NULLs under REPLICA IDENTITY FULL with an index on the target that finds them",
    ddl: `CREATE DOMAIN code AS varchar(9);
          CREATE TABLE fi (a int, "B" code, n numeric, j json); ALTER TABLE fi REPLICA IDENTITY FULL;
          CREATE INDEX ON fi ("B", a); CREATE INDEX ON fi (n); CREATE UNIQUE INDEX ON fi (a) WHERE a < 0;
          INSERT INTO fi SELECT nullif(i % 300, 7), 'c' || i % 250, 1.10, '{"a":  1}' FROM generate_series(1, 900) i;
          INSERT INTO fi SELECT * FROM fi; ANALYZE fi`,
    changes: [
      "UPDATE fi SET j = '[]' WHERE a BETWEEN 3 AND 9; DELETE FROM fi WHERE ctid IN (SELECT ctid FROM fi WHERE a = 20 LIMIT 3)",
      `UPDATE fi SET n = 1.1 WHERE ctid = (SELECT ctid FROM fi WHERE a = 21 LIMIT 1); UPDATE fi SET "B" = 'C' WHERE a = 22`,
      `UPDATE fi SET a = NULL WHERE a = 30; DELETE FROM fi WHERE a IS NULL AND n = 1.1; DELETE FROM fi WHERE "B" = 'c17'`,
    ],
  },
  {
    title: "an unchanged large value of a row without a key",
    ddl: `CREATE TABLE fb (n int, body text); ALTER TABLE fb ALTER body SET STORAGE EXTERNAL; ALTER TABLE fb REPLICA IDENTITY FULL;
          CREATE TABLE fk (id int PRIMARY KEY, n int, body text); ALTER TABLE fk ALTER body SET STORAGE EXTERNAL; ALTER TABLE fk REPLICA IDENTITY FULL;
          INSERT INTO fb SELECT i, ${long("a")} FROM generate_series(1, 3) i;
          INSERT INTO fk SELECT i, i, ${long("a")} FROM generate_series(1, 3) i`,
    changes: [
      "UPDATE fb SET n = n + 10; UPDATE fb SET n = NULL WHERE n = 12; DELETE FROM fb WHERE n = 13",
      "UPDATE fk SET n = n + 10; UPDATE fk SET id = id + 10; DELETE FROM fk WHERE id = 11",
    ],
  },
  {
    title: "inserts of tables without a replica identity",
    ddl: "CREATE TABLE log (at timestamptz DEFAULT now(), line text)",
    changes: ["INSERT INTO log (line) VALUES ('a'), ('a'), (NULL)"],
  },
  {
    title: "a replica identity by index",
    ddl: `CREATE TABLE ri (id int PRIMARY KEY, code text NOT NULL, v int);
          CREATE UNIQUE INDEX ri_code ON ri (code); ALTER TABLE ri REPLICA IDENTITY USING INDEX ri_code;
          INSERT INTO ri SELECT i, 'c' || i, i FROM generate_series(1, 10) i`,
    changes: [
      "UPDATE ri SET id = id + 100",
      "UPDATE ri SET code = 'x' || id WHERE v < 4",
      "DELETE FROM ri WHERE v = 7",
    ],
  },
  {
    title: "values whose text depends on the database's settings",
    ddl: `DO $$ DECLARE setting text; BEGIN
            FOREACH setting IN ARRAY ARRAY['DateStyle = ''German, DMY''', 'IntervalStyle = ''sql_standard''', 'TimeZone = ''Asia/Kathmandu''',
              'extra_float_digits = -5', 'bytea_output = ''escape''', 'search_path = ''elsewhere'', ''public''', 'quote_all_identifiers = on'] LOOP
              EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
            END LOOP; END $$;
          CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.e (id int PRIMARY KEY);
          CREATE FUNCTION public.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE public.own AS ENUM ('a');
          CREATE TABLE public.s (id int PRIMARY KEY, rel regclass, kind regtype, code regprocedure, name regproc, op regoperator,
                                 at timestamptz, span interval, f float8, r real, b bytea)`,
    changes: [
      `INSERT INTO s VALUES (1, 's', 'own', 'f(int)', 'f', '=(int,int)', '2024-02-03 04:05:06.789+01', '-1 day 02:03:04.5', 0.1 + 0.2::float8, 1.1, '\\x00ff'),
         (2, 'elsewhere.e', 'own[]', 'pg_catalog.abs(int)', 'pg_catalog.pi', '+(int,int)', '-infinity', '1 mon -3 days', 1e-300, 'NaN', '')`,
      "UPDATE s SET rel = 'elsewhere.e', f = f / 3, span = -span WHERE id = 1",
    ],
  },
  {
    title: "every kind of value",
    ddl: `CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, "fine"');
          CREATE TYPE pair AS (a int, b text);
          CREATE DOMAIN code AS varchar(5) NOT NULL CHECK (value <> '');
          CREATE DOMAIN codes AS text[];
          CREATE TABLE v (id bigint PRIMARY KEY, f4 real, f8 float8, num numeric, m money, iv interval, d date, ts timestamp,
            tz timestamptz, tm timetz, ba bytea, bt bit(5), vb varbit, ch "char", c char(4), vc varchar(4), e mood, p pair,
            ps pair[], dc code, dcs codes, aa text[][], u uuid, jb jsonb, tv tsvector, r int4range, h box, o oid, n name);
          INSERT INTO v (id, dc) SELECT i, 'd' FROM generate_series(1, 5) i`,
    changes: [
      `INSERT INTO v VALUES (100, 1.1, 0.1::float8 + 0.2, 'NaN', 12.34, '1 year -2 days 03:04:05.6', '0044-03-15 BC', 'infinity',
         '2024-02-29 23:59:59.999999+05', '12:00+03:30', '\\x005c0a0d09ff', B'10101', B'1', 'x', 'ab', 'ab', 'it''s, "fine"',
         '(1,"a,""b\\\\")', ARRAY['(1,x)', NULL]::pair[], 'abc', '{"a b",NULL,"\\\\"}', '{{a,b},{"c,d",NULL}}',
         'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"k": [1, 2.50, null, "\\u00e9"]}', 'a:1 fat:2A', '[1,5)', '(1,1),(0,0)', 4294967295, 'n')`,
      `UPDATE v SET f4 = '-0', f8 = 1e-300, num = 123456789012345678901234567890.000, m = -1, ba = '', vb = B'', ch = '', c = '', vc = '', aa = '{}' WHERE id <= 3`,
      "UPDATE v SET id = -id, tv = '' WHERE id > 3",
    ],
  },
  {
    title: "generated columns and identity columns",
    from: 12,
    ddl: `CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
          CREATE TABLE gi (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text, body text);
          ALTER TABLE gi ALTER body SET STORAGE EXTERNAL;
          CREATE TABLE gd (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
          CREATE TABLE gf (n int GENERATED ALWAYS AS IDENTITY, v text); ALTER TABLE gf REPLICA IDENTITY FULL`,
    changes: [
      "INSERT INTO g (a) SELECT i FROM generate_series(1, 10) i; INSERT INTO gd (v) VALUES ('a'), ('b'); INSERT INTO gf (v) VALUES ('a'), ('a')",
      `INSERT INTO gi (k, v, body) SELECT 'k' || i, 'v', ${long("g")} FROM generate_series(1, 5) i`,
      "UPDATE g SET a = a + 1; UPDATE g SET id = DEFAULT WHERE a = 5; DELETE FROM g WHERE a = 6",
      "UPDATE gi SET v = v || k; UPDATE gi SET n = DEFAULT WHERE k = 'k2'; UPDATE gi SET k = 'k9' WHERE k = 'k3'",
      "UPDATE gd SET id = id + 10; UPDATE gf SET v = 'b' WHERE n = 1; UPDATE gf SET n = DEFAULT WHERE n = 2",
    ],
  },
  {
    title: "partitioned tables with several levels",
    ddl: `CREATE TABLE p (id int NOT NULL, region text NOT NULL, v int) PARTITION BY LIST (region);
          CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
          CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us') PARTITION BY RANGE (id);
          CREATE TABLE p_us_1 PARTITION OF p_us FOR VALUES FROM (0) TO (100);
          CREATE TABLE p_us_2 PARTITION OF p_us FOR VALUES FROM (100) TO (200);
          ALTER TABLE p_eu ADD PRIMARY KEY (id, region); ALTER TABLE p_us_1 ADD PRIMARY KEY (id); ALTER TABLE p_us_2 REPLICA IDENTITY FULL;
          INSERT INTO p SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, i FROM generate_series(1, 40) i`,
    changes: [
      "INSERT INTO p VALUES (60, 'eu', 1), (61, 'us', 1), (161, 'us', 1), (161, 'us', 1)",
      "UPDATE p SET v = v + 1; DELETE FROM p WHERE id BETWEEN 10 AND 15",
      "DELETE FROM p_us_2 WHERE ctid = (SELECT ctid FROM p_us_2 LIMIT 1)",
    ],
  },
  {
    title: "updates that move rows between partitions",
    from: 11,
    ddl: `CREATE TABLE pm (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
          CREATE TABLE pm_eu PARTITION OF pm FOR VALUES IN ('eu'); CREATE TABLE pm_us PARTITION OF pm FOR VALUES IN ('us');
          INSERT INTO pm SELECT i, 'eu', i FROM generate_series(1, 10) i`,
    changes: ["UPDATE pm SET region = 'us' WHERE id < 4", "UPDATE pm SET region = 'eu', v = 0 WHERE id < 2"],
  },
  {
    title: "TRUNCATE: of several tables, by cascade, restarting identities, of partitions, among changes",
    from: 11,
    ddl: `CREATE TABLE a (id serial PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
          CREATE TABLE c (v int); CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
          CREATE TABLE q (id int PRIMARY KEY) PARTITION BY RANGE (id);
          CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10); CREATE TABLE q2 PARTITION OF q FOR VALUES FROM (10) TO (20);
          INSERT INTO a (v) SELECT i FROM generate_series(1, 5) i; INSERT INTO b SELECT i, i FROM generate_series(1, 5) i;
          INSERT INTO c VALUES (1); INSERT INTO q SELECT generate_series(1, 19);
          INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2)`,
    changes: [
      "INSERT INTO a (v) VALUES (100); UPDATE b SET a = 6 WHERE id = 1; TRUNCATE a CASCADE; INSERT INTO a (v) VALUES (101)",
      "TRUNCATE b, c; TRUNCATE a RESTART IDENTITY CASCADE; INSERT INTO a (v) VALUES (1); INSERT INTO c VALUES (2), (2)",
      "TRUNCATE q1",
      "INSERT INTO q VALUES (1); TRUNCATE ONLY parent; INSERT INTO child VALUES (3)",
      "TRUNCATE q; INSERT INTO q VALUES (5), (15)",
    ],
  },
  {
    title: "savepoints and rollbacks",
    ddl: "CREATE TABLE s (id int PRIMARY KEY, v text)",
    changes: [
      `BEGIN; INSERT INTO s VALUES (1, 'a'); SAVEPOINT x; INSERT INTO s VALUES (2, 'b'); UPDATE s SET v = 'lost'; ROLLBACK TO x;
       SAVEPOINT y; INSERT INTO s VALUES (3, 'c'); RELEASE y; COMMIT`,
      "BEGIN; INSERT INTO s VALUES (4, 'never'); ROLLBACK",
      "BEGIN; SAVEPOINT x; UPDATE s SET v = 'kept' WHERE id = 1; COMMIT",
    ],
  },
  {
    title: "names in capitals, quotes and 63 bytes, tables without columns, in several schemas",
    ddl: `CREATE SCHEMA "Sales ""x"; CREATE TABLE "Sales ""x"."Order's" ("Id" int PRIMARY KEY, "select" text, "a""b" int, g int, c0 int);
          CREATE TABLE ${"t".repeat(63)} (${"c".repeat(63)} int PRIMARY KEY); CREATE TABLE nothing ()`,
    changes: [
      `INSERT INTO "Sales ""x"."Order's" VALUES (1, 'x', 2, 3, 4), (2, 'y', 3, 4, 5); INSERT INTO ${"t".repeat(63)} VALUES (1); INSERT INTO nothing DEFAULT VALUES`,
      `UPDATE "Sales ""x"."Order's" SET "select" = 'z', g = 0; DELETE FROM "Sales ""x"."Order's" WHERE "a""b" = 2; UPDATE ${"t".repeat(63)} SET ${"c".repeat(63)} = 2`,
    ],
  },
  {
    title: "tables with triggers and foreign keys, which do not fire on the target",
    ddl: `CREATE TABLE m (id int PRIMARY KEY, n int); CREATE TABLE d (id int PRIMARY KEY, m int REFERENCES m DEFERRABLE INITIALLY DEFERRED);
          CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n + 1; RETURN NEW; END $$;
          CREATE TRIGGER count_up BEFORE INSERT OR UPDATE ON m FOR EACH ROW EXECUTE PROCEDURE count_up()`,
    changes: [
      "INSERT INTO d VALUES (1, 1); INSERT INTO m VALUES (1, 1)",
      "UPDATE m SET n = 10",
      "DELETE FROM d; DELETE FROM m",
    ],
  },
];

/** Defines a test for each case, from one version to another with one output plugin. */
export function followOrdinaryChanges(from: Major, to: AzureLikeOptions["major"], plugin: OutputPlugin): void {
  describe(`changes from PostgreSQL ${from} to ${to} with ${plugin} are applied:`, () => {
    const servers = new Stage({ from, to });

    for (const { title, ddl, changes, ordered } of cases.filter((one) => (one.from ?? 0) <= from))
      it(title, async () => {
        const scene = await servers.open(ddl, plugin);
        // Before the follower starts, so that all of them are in one batch.
        for (const change of changes) await scene.onSource(change);
        const follower = scene.follow();
        await scene.mustBecomeEqual(follower);
        const { orderedBatches } = follower.status();
        assert.equal(orderedBatches > 0, ordered ?? false, `${orderedBatches} batches in the source's order`);
      });
  });
}
