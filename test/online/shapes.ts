import assert from "node:assert/strict";
import { assertSameContent, type Place } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import type { VersionPair } from "../support/servers/version-pairs";
import { until } from "../support/until";

const since = (major: number, source: number, sql: string): string => (source >= major ? sql : "");

const partitions = `
  CREATE TABLE part (id int, v text) PARTITION BY RANGE (id);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
  ALTER TABLE part_1 ADD PRIMARY KEY (id); ALTER TABLE part_2 ADD PRIMARY KEY (id); INSERT INTO part VALUES (1, 'low'), (11, 'high');`;

/** Since 18, stored generated columns can be published. Virtual ones cannot, although REPLICA IDENTITY FULL includes them. */
const namedByComputed = `
  CREATE TABLE by_computed (id int, v text, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY); INSERT INTO by_computed SELECT i, 'v' FROM generate_series(1, 9) i;
  CREATE TABLE full_keyed (id int PRIMARY KEY, v text, loud text GENERATED ALWAYS AS (upper(v)) STORED); ALTER TABLE full_keyed REPLICA IDENTITY FULL;
  INSERT INTO full_keyed SELECT i, 'v' FROM generate_series(1, 9) i;
  CREATE TABLE full_computed (id int, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE full_computed REPLICA IDENTITY FULL;
  INSERT INTO full_computed SELECT i / 2 FROM generate_series(1, 9) i;
  CREATE TABLE rekeyed (id int, v text, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY); INSERT INTO rekeyed SELECT i, 'v' FROM generate_series(1, 9) i;
  CREATE TABLE keyless_computed (v text, loud text GENERATED ALWAYS AS (upper(v)) STORED); INSERT INTO keyless_computed VALUES ('a'), ('a'), ('b');
  CREATE TABLE full_virtual (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL); ALTER TABLE full_virtual REPLICA IDENTITY FULL;`;

/** Functions that call others without naming a schema. Each is called by one object only, because a search_path set for one object serves all. */
const namedWithoutSchema = `
  CREATE FUNCTION low(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 1000';
  CREATE FUNCTION fits_check(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN low($1); END';
  CREATE FUNCTION fits_domain(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN low($1); END';
  CREATE FUNCTION fits_index(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN low($1); END';
  CREATE DOMAIN small AS int CHECK (fits_domain(VALUE)); CREATE TABLE checked (id int PRIMARY KEY, n int CHECK (fits_check(n)), d small);
  CREATE INDEX ON checked (fits_index(n)); INSERT INTO checked SELECT i, i, i FROM generate_series(1, 9) i;`;

const everyShape = (major: number): string => `${namedWithoutSchema}
  CREATE TABLE keyless (v text, n int); INSERT INTO keyless SELECT 'twice', i / 2 FROM generate_series(1, 20) i;
  CREATE TABLE "Mixed Case" ("Id" int PRIMARY KEY, "a ""quoted"" name" text); INSERT INTO "Mixed Case" VALUES (1, 'one');
  CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); INSERT INTO unlogged VALUES (1);
  CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
  INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 'x');
  CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); CREATE TABLE composed (id int PRIMARY KEY, p pair, m mood[]);
  INSERT INTO composed VALUES (1, ROW(1, 'x'), '{sad,NULL}'), (2, ROW(NULL, NULL), '{}'), (3, NULL, NULL);
  CREATE TABLE always (id ${major >= 10 ? "int GENERATED ALWAYS AS IDENTITY" : "serial"} PRIMARY KEY, v text); INSERT INTO always (v) VALUES ('a'), ('b');
  ${since(10, major, partitions)}
  ${since(12, major, "CREATE TABLE computed (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO computed VALUES (1);")}
  ${since(12, major, `CREATE TABLE named (k name COLLATE "POSIX" PRIMARY KEY, v int); INSERT INTO named SELECT i::text FROM generate_series(1, 999) i;`)}
  ${since(18, major, namedByComputed)}
  CREATE TABLE empty ();`;

const everyChange = (major: number): string => `
  INSERT INTO checked VALUES (10, 10, 10); UPDATE checked SET n = n + 1, d = d + 1 WHERE id < 5; DELETE FROM checked WHERE id = 7;
  INSERT INTO keyless VALUES ('new', NULL); UPDATE keyless SET v = 'once' WHERE ctid = (SELECT ctid FROM keyless WHERE n = 3 LIMIT 1);
  DELETE FROM keyless WHERE ctid = (SELECT ctid FROM keyless WHERE n = 5 LIMIT 1);
  UPDATE "Mixed Case" SET "a ""quoted"" name" = 'two'; INSERT INTO "Mixed Case" VALUES (2, NULL);
  UPDATE parent SET v = 'both'; INSERT INTO child VALUES (3, 'c', 'y'); DELETE FROM child WHERE id = 2;
  UPDATE composed SET p = ROW(NULL, NULL) WHERE id = 3; UPDATE composed SET p = NULL WHERE id = 2; UPDATE composed SET m[2] = 'ok' WHERE id = 1;
  UPDATE always SET v = 'z' WHERE id = 1; INSERT INTO always (v) VALUES ('c'); DELETE FROM always WHERE id = 2;
  ${since(10, major, "UPDATE part SET v = 'changed'; INSERT INTO part VALUES (2, 'new'); DELETE FROM part WHERE id = 11;")}
  ${since(12, major, "UPDATE computed SET id = 5; INSERT INTO computed VALUES (7);")}
  ${since(12, major, "UPDATE named SET v = 2; DELETE FROM named WHERE k::text = '7'; INSERT INTO named VALUES ('c');")}
  ${since(18, major, changeComputed)}`;

/** Only inserts of the second partition and the root can be published, so changes of the first partition are published twice. */
const halfKeyed = `
  CREATE TABLE half (id int, v text, twice int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY RANGE (id);
  CREATE TABLE half_keyed PARTITION OF half FOR VALUES FROM (0) TO (10); CREATE TABLE half_keyless PARTITION OF half FOR VALUES FROM (10) TO (20);
  ALTER TABLE half_keyed ADD PRIMARY KEY (id); INSERT INTO half VALUES (1, 'a'), (2, 'a'), (11, 'b')`;

/** Since 18, an UPDATE fails if it is published and its replica identity is not. Updates by applications must not fail. */
const changeComputed = `
  UPDATE by_computed SET v = 'new' WHERE id < 4; UPDATE by_computed SET id = 20 WHERE id = 5; DELETE FROM by_computed WHERE id IN (1, 6); INSERT INTO by_computed VALUES (1, 'again');
  UPDATE full_keyed SET v = 'new' WHERE id < 4; UPDATE full_keyed SET id = 20 WHERE id = 5; DELETE FROM full_keyed WHERE id IN (1, 6); INSERT INTO full_keyed VALUES (1, 'again');
  UPDATE full_computed SET id = 7 WHERE ctid = (SELECT min(ctid) FROM full_computed WHERE id = 2); DELETE FROM full_computed WHERE id = 1; INSERT INTO full_computed VALUES (1);
  UPDATE keyless_computed SET v = 'c' WHERE ctid = (SELECT min(ctid) FROM keyless_computed); DELETE FROM keyless_computed WHERE v = 'b'; INSERT INTO keyless_computed VALUES ('b');
  ALTER TABLE rekeyed ALTER twice SET EXPRESSION AS (id * 2 + length(v) * 2);
  DELETE FROM rekeyed WHERE id IN (2, 9); UPDATE rekeyed SET id = 50 WHERE id = 5; INSERT INTO rekeyed VALUES (10, 'v'), (3, repeat('v', 20));
  INSERT INTO full_virtual VALUES (3);
  DO $$ BEGIN
    UPDATE full_virtual SET id = 4; DELETE FROM full_virtual;
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END $$;`;

/** Migrates tables of every shape online from one version to another. */
export function migrateEveryShape({ from: major, to }: VersionPair): void {
  describe(`an online migration from PostgreSQL ${major} to ${to}`, () => {
    let lab: Lab;

    before(async () => {
      lab = await Lab.start({ source: { major }, target: { major: to } });
    });
    after(() => lab.stop());

    const places = (database: string): [Place, Place] => [
      { server: lab.source, database },
      { server: lab.target, database, login: lab.administrator },
    ];

    it("replicates tables of every shape, including keyless ones, and resets their replica identity", async () => {
      const database = await lab.database(everyShape(major));
      const empty = await lab.database("SELECT");
      const resource = new Resource();
      const identity = "SELECT relname FROM pg_class WHERE relreplident = 'f' ORDER BY 1";
      // Before 10 there is no publication to record which replica identities have to be reset.
      const keylessTables = major < 10 ? "insertsOnly" : "full";
      if (major < 10) await lab.source.query("ALTER TABLE keyless REPLICA IDENTITY FULL", { database });
      await resource.create(lab.onlineInputs([database, empty], { keylessTables }));
      const byUser = major >= 18 ? ["full_computed", "full_keyed", "full_virtual"] : [];
      const keyless = major >= 18 ? ["keyless", "keyless_computed"] : ["keyless"];
      const byEngine = major >= 10 ? ["empty", ...keyless] : keyless;
      const identities = async (server = lab.source): Promise<unknown> =>
        (await server.query(identity, { database })).map(({ relname }) => relname);
      assert.deepEqual(await identities(), [...byUser, ...byEngine].sort());
      await lab.source.query(everyChange(major), { database });
      await lab.source.query("CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1)", {
        database: empty,
      });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent(...places(database));
      await assertSameContent(...places(empty));
      if (major >= 10) assert.deepEqual(await identities(), byUser);
      assert.deepEqual(await identities(lab.target), await identities(), "equal on target and source");
      await resource.destroy();
    });

    if (major >= 18)
      it("copies a table again if its generated column becomes an ordinary one, during streaming, cutover and rollback", async () => {
        const database = await lab.database(
          `CREATE TABLE computed (id int, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE computed REPLICA IDENTITY FULL;
           INSERT INTO computed VALUES (1); CREATE TABLE late (LIKE computed INCLUDING GENERATED); ALTER TABLE late REPLICA IDENTITY FULL;
           INSERT INTO late VALUES (1); ${halfKeyed}`,
        );
        const resource = await lab.follow([database]);
        await lab.source.query(
          "UPDATE half SET v = 'new' WHERE id = 1; DELETE FROM half WHERE id = 2; INSERT INTO half VALUES (3, 'c'), (12, 'c')",
          { database },
        );
        await lab.source.query(
          "ALTER TABLE computed ALTER twice DROP EXPRESSION; INSERT INTO computed VALUES (2, 5); UPDATE computed SET twice = 7 WHERE id = 1",
          { database },
        );
        await until("the table is copied again", async () => {
          const rows = await lab.target.query("SELECT FROM computed WHERE twice = 7", lab.onTarget(database));
          return rows.length === 1;
        });
        // The cutover waits for open transactions before it records its LSN. By then it has replicated the schema.
        const open = await lab.source.connect(database);
        await open.query("BEGIN; SELECT txid_current()");
        const cutover = resource.update({ triggerCutover: true, rollback: "keep" });
        // An unhandled rejection would end the process.
        cutover.catch(() => undefined);
        await until("the cutover creates its temporary slot", async () => {
          const slots = await lab.source.query("SELECT FROM pg_replication_slots WHERE temporary");
          return slots.length > 0;
        });
        await lab.source.query("ALTER TABLE late ALTER twice DROP EXPRESSION; UPDATE late SET twice = 7", { database });
        await open.end();
        const kept = await cutover;
        assert.equal(kept.currentSubStateDetails.dbDetails[database]!.migrationState, "Succeeded");
        // The rollback replication does not replicate DDL of the target.
        const altered = "ALTER TABLE half ALTER twice DROP EXPRESSION; UPDATE half SET twice = 7";
        await lab.target.query(altered, lab.onTarget(database));
        const statement = `ALTER TABLE "public"."half" ALTER COLUMN "twice" DROP EXPRESSION`;
        assert.ok((await Resource.failure(resource.update({ rollback: "return" }))).includes(statement));
        await lab.source.query(altered, { database });
        assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
        await assertSameContent(...places(database));
        await resource.destroy();
      });
  });
}
