import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** An application that waits longer than this for the migration fails the test. */
const impatiently = { options: "-c lock_timeout=20000" } as object;

/** Defines the tests for one mode. In both, the copy and the applications compete for the same locks. */
export function testInitialCopyLocks(mode: "Offline" | "Online"): void {
  describe("locks of the initial copy", () => {
    let lab: Lab;
    let database: string;
    let proxy: CuttableProxy;
    let resource: Resource;

    before(async () => {
      lab = await Lab.start({ source: { major: 16 } });
    });

    beforeEach(async () => {
      database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
      CREATE TABLE other (id int PRIMARY KEY);
      -- Computing this takes long on the target, whose version is newer. It names no table.
      CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$
        SELECT CASE pg_sleep(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 0.1 ELSE 0 END)::text WHEN '' THEN $1 END $$`);
      proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
      resource = new Resource();
    });

    afterEach(async () => {
      await resource.destroy();
      await proxy.close();
    });

    after(() => lab.stop());

    const inputsOf = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
      lab.inputs([database], { migrationMode: mode, waitFor: "started", source: proxy.endpoint, ...changes });

    const apply = (sql: string): Promise<unknown> => lab.source.query(sql, { database, login: impatiently });

    const replaceRows = (rows: number): Promise<unknown> =>
      apply(`BEGIN; TRUNCATE t; INSERT INTO t SELECT generate_series(1, ${rows}); COMMIT`);

    /** A table whose copy takes the target some seconds, because it is larger than the tables that are copied together. */
    const createSlowTable = (): Promise<unknown> =>
      lab.querySource(
        database,
        `CREATE TABLE slow (id int PRIMARY KEY, filler text, copy int GENERATED ALWAYS AS (slowly(id)) STORED);
       INSERT INTO slow (id, filler) SELECT i, repeat('x', 1000) FROM generate_series(1, 80) i;
       CREATE TABLE child (id int PRIMARY KEY, slow int REFERENCES slow);
       COMMENT ON CONSTRAINT child_slow_fkey ON child IS 'each child has one';
       INSERT INTO child SELECT i, i FROM generate_series(1, 80) i;
       CREATE TABLE grandchild (id int PRIMARY KEY, child int CONSTRAINT complete REFERENCES child);
       CREATE FUNCTION has_slow(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.slow WHERE slow.id >= $1)';
       INSERT INTO grandchild VALUES (20, 20); ALTER TABLE grandchild ADD CONSTRAINT looks_up CHECK (has_slow(id))`,
      );

    async function assertMigrated(): Promise<void> {
      if (mode === "Online") await resource.update({ waitFor: undefined });
      const cutover = mode === "Online" ? { triggerCutover: true } : {};
      assert.equal((await resource.update({ waitFor: undefined, ...cutover })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
    }

    const eventsLike = (pattern: string): Promise<{ message: string }[]> =>
      lab.target.query<{ message: string }>(
        "SELECT message FROM pgmigration.event WHERE migration = $1 AND message LIKE $2",
        { values: [resource.inputs.migrationName, pattern] },
      );

    const restarts = () => eventsLike("public.% of % was released%starts again with another snapshot%");
    const alterations = () => eventsLike("the definition of % changed while the schema was read%");
    const postponed = () => eventsLike('"public"."slow" is copied later%');

    const isWaiting = async (): Promise<boolean> => {
      const waiting =
        "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ 'TRUNCATE'";
      return (await lab.source.query(waiting, { values: [database] })).length > 0;
    };

    const isSlowTableRead = async (): Promise<boolean> => {
      const reading = `SELECT FROM pg_stat_activity WHERE datname = $1 AND query ~ '^COPY "public"."slow"'`;
      return (await lab.source.query(reading, { values: [database] })).length > 0;
    };

    async function hasEnded(): Promise<boolean> {
      const ended = "SELECT FROM pgmigration.database WHERE name = $1 AND phase = 'done'";
      return (await lab.target.query(ended, { values: [database] })).length > 0;
    }

    async function locksOfMigration(): Promise<number> {
      const locks = `SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE relation IN ('t'::regclass, to_regclass('slow')) AND mode = 'AccessShareLock'`;
      return (await lab.source.query(locks, { database })).length;
    }

    async function blockersOfApplications(): Promise<string[]> {
      const blocked = `SELECT blocker.application_name AS name FROM pg_stat_activity waiting
        JOIN pg_stat_activity blocker ON blocker.pid = ANY (pg_blocking_pids(waiting.pid))
       WHERE waiting.datname = $1 AND waiting.application_name = 'test'`;
      return (await lab.source.query<{ name: string }>(blocked, { values: [database] })).map(({ name }) => name);
    }

    async function applyWhileSchemaIsRead(change: () => Promise<unknown>): Promise<void> {
      const inputs = inputsOf({ migrationOption: "Migrate" });
      const held = proxy.hold("pg-migration dump");
      await resource.create(inputs);
      await held.first;
      await until("the snapshot is locked", async () => {
        const locks = "SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessShareLock' AND granted";
        return (await lab.source.query(locks, { database })).length > 0;
      });
      await change();
      held.release();
    }

    it(`${mode}: an object that is dropped while the schema is read does not end the migration`, async () => {
      const view = "CREATE VIEW shown AS SELECT id FROM t";
      const called = "CREATE FUNCTION called() RETURNS int LANGUAGE sql AS 'SELECT 1'";
      await lab.querySource(database, `${view}; ${called}`);
      await applyWhileSchemaIsRead(() => apply(`DROP VIEW shown; DROP FUNCTION called(); ${view}; ${called}`));
      await assertMigrated();
      assert.equal((await eventsLike("another session dropped % of % while the schema was read%")).length, 1);
    });

    it(`${mode}: a TRUNCATE does not wait while the target does not accept the position of the snapshot`, async () => {
      const held = proxy.hold("pg-migration dump");
      await resource.create(inputsOf({ migrationOption: "Migrate" }));
      await held.first;
      const lock = await lab.target.connect();
      try {
        // This mode of the lock permits events, whose foreign key refers to the row.
        await lock.query("BEGIN");
        await lock.query("SELECT FROM pgmigration.database WHERE migration = $1 FOR NO KEY UPDATE", [
          resource.inputs.migrationName,
        ]);
        held.release();
        await until("the worker waits for the lock", async () => {
          const waiting =
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'pgmigration.database'";
          return (await lab.target.query(waiting)).length > 0;
        });
        await replaceRows(50);
      } finally {
        await lock.end();
      }
      await assertMigrated();
    });

    it(`${mode}: a TRUNCATE while the schema is read does not wait until it is read`, async () => {
      await applyWhileSchemaIsRead(() => replaceRows(50));
      await assertMigrated();
      assert.equal((await restarts()).length > 0, mode === "Offline", "a stream carries the TRUNCATE");
    });

    if (mode === "Offline") {
      it("Offline: a copy that would wait behind a waiting TRUNCATE starts again", async () => {
        const inputs = inputsOf();
        const held = proxy.hold(`${String(inputs.migrationName)} copy`);
        await resource.create(inputs);
        await held.first;
        const replaced = replaceRows(50);
        await until("it waits for the snapshot", isWaiting);
        held.release();
        await replaced;
        await assertMigrated();
        assert.ok((await restarts()).length > 0);
      });

      it("Offline: a TRUNCATE while rows are copied does not wait until they are copied, and the copy starts again", async () => {
        await createSlowTable();
        await resource.create(inputsOf());
        await until("the slow table is read", isSlowTableRead);
        await replaceRows(50);
        assert.ok(!(await hasEnded()), "the rows are not copied yet");
        await assertMigrated();
        assert.ok((await restarts()).length > 0);
      });

      return;
    }

    for (const statement of [
      "ALTER TABLE t ADD COLUMN note text DEFAULT 'none'",
      // pg_dump then prints the constraint with the new name, and the column with the former one.
      "ALTER TABLE t RENAME id TO number",
      "ALTER TABLE t RENAME TO renamed; ALTER TABLE renamed RENAME TO t",
      "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY (id)",
      "ALTER TABLE t RENAME TO renamed; CREATE TABLE t (id int PRIMARY KEY, other int)",
      "DROP TABLE t",
    ])
      it(`Online: ${statement}: the schema is read again`, async () => {
        await apply("ALTER TABLE t ADD CHECK (id > 0)");
        await applyWhileSchemaIsRead(() => apply(statement));
        await assertMigrated();
        assert.ok((await alterations()).length > 0);
      });

    it("Online: the schema is read although a table is truncated all the time, because sessions then wait longer", async () => {
      // pg_dump reads each function by a query of its own, while it holds its locks.
      await apply(`DO $$ BEGIN FOR i IN 1 .. 4000 LOOP
        EXECUTE format('CREATE FUNCTION function_%s() RETURNS int LANGUAGE sql AS ''SELECT 1''', i); END LOOP; END $$`);
      let isMigrating = true;
      const truncated = (async () => {
        while (isMigrating) {
          await replaceRows(50);
          await sleep(600);
        }
      })();
      try {
        await resource.create(inputsOf({ waitFor: undefined }));
      } finally {
        isMigrating = false;
        await truncated;
      }
      await assertMigrated();
    });

    it("Online: while one table is read, every other one is free", async () => {
      await createSlowTable();
      await resource.create(inputsOf());
      await until("the slow table is read", isSlowTableRead);
      await until("the other tables are copied", async () => {
        const [copied] = await lab.queryTarget(database, "SELECT FROM t HAVING count(*) = 100");
        const locks = "SELECT FROM pg_locks WHERE relation IN ('t'::regclass, 'other'::regclass)";
        return copied !== undefined && (await lab.source.query(locks, { database })).length === 0;
      });
      await apply(
        "LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT; DROP TABLE other; TRUNCATE t; INSERT INTO t VALUES (7)",
      );
      assert.ok(await isSlowTableRead(), "the slow table is still read");
      assert.deepEqual([await restarts(), await postponed()], [[], []]);
      await assertMigrated();
    });

    for (const statement of [
      "TRUNCATE slow CASCADE; INSERT INTO slow VALUES (1, '')",
      "ALTER TABLE slow ADD COLUMN note text",
      "LOCK TABLE slow; DELETE FROM child WHERE id < 10; DELETE FROM slow WHERE id < 10; UPDATE slow SET filler = 'y'",
    ])
      it(`Online: ${statement}: gets the lock while the table is read, and the table joins the stream later`, async () => {
        await createSlowTable();
        await resource.create(inputsOf());
        await until("the slow table is read", isSlowTableRead);
        await apply(statement);
        await until("the table is postponed", async () => (await postponed()).length > 0);
        const [event] = await postponed();
        assert.match(event!.message, /because a session waits to lock it: pid \d+ \(postgres, test, active/);
        assert.deepEqual(await restarts(), []);
        await assertMigrated();
        const added = await eventsLike("FK CONSTRAINT%carried over");
        assert.deepEqual(
          added.map(({ message }) => message),
          ["FK CONSTRAINT public.child child_slow_fkey of the source was carried over"],
          "the other key does not wait",
        );
        const keys =
          "SELECT conname AS name, obj_description(oid) AS comment FROM pg_constraint WHERE conrelid >= 16384 AND contype IN ('c', 'f') AND convalidated ORDER BY 1";
        assert.deepEqual(await lab.queryTarget(database, keys), [
          { name: "child_slow_fkey", comment: "each child has one" },
          { name: "complete", comment: null },
          { name: "looks_up", comment: null },
        ]);
        assert.doesNotMatch(JSON.stringify(resource.status), /looks_up/, "the check is not refused");
      });

    it("Online: columns and indexes whose functions read a table that joins later are computed afterwards", async () => {
      await createSlowTable();
      await lab.querySource(
        database,
        `CREATE FUNCTION size_of(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT length(filler) FROM public.slow WHERE slow.id = $1';
         CREATE TABLE reader (id int PRIMARY KEY, size int GENERATED ALWAYS AS (size_of(id)) STORED);
         CREATE INDEX sizes ON child (size_of(id)); INSERT INTO reader SELECT generate_series(1, 80);
         CREATE STATISTICS size_statistics ON id, (size_of(id)) FROM child;
         ALTER TABLE child ADD CONSTRAINT size_exclusion EXCLUDE USING btree (id WITH =) WHERE (size_of(id) > 0);
         COMMENT ON INDEX sizes IS 'of an index'; COMMENT ON STATISTICS size_statistics IS 'of statistics';
         COMMENT ON CONSTRAINT size_exclusion ON child IS 'of a constraint';
         CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted DEFAULT;
         CREATE INDEX parted_sizes ON parted (size_of(id)); INSERT INTO parted SELECT generate_series(1, 80)`,
      );
      await resource.create(inputsOf());
      await until("the slow table is read", isSlowTableRead);
      await apply("BEGIN; LOCK TABLE slow; COMMIT");
      await until("the table is postponed", async () => (await postponed()).length > 0);
      await assertMigrated();
      const login = { ...lab.administrator, options: "-c enable_seqscan=off" } as object;
      const found = await lab.target.query("SELECT FROM child WHERE size_of(id) = 1000", { database, login });
      assert.equal(found.length, 80);
      const comments =
        "SELECT description FROM pg_description WHERE description LIKE 'of %' AND objoid >= 16384 ORDER BY 1";
      const sourceComments = await lab.querySource(database, comments);
      assert.equal((sourceComments as unknown[]).length, 3);
      assert.deepEqual(await lab.queryTarget(database, comments), sourceComments);
      const attached =
        "SELECT inhrelid::regclass::text AS index, indisvalid AS valid FROM pg_inherits JOIN pg_index ON indexrelid = inhparent WHERE inhparent = 'parted_sizes'::regclass";
      assert.deepEqual(await lab.queryTarget(database, attached), [{ index: "part_size_of_idx", valid: true }]);
    });

    it("Online: a table that was altered before its turn joins the stream later", async () => {
      await createSlowTable();
      const inputs = inputsOf();
      const held = proxy.hold(`${String(inputs.migrationName)} copy`);
      await resource.create(inputs);
      await held.first;
      await until("no table is locked", async () => (await locksOfMigration()) === 0);
      await apply("TRUNCATE slow CASCADE");
      held.release();
      await until("the table is postponed", async () => (await postponed()).length > 0);
      await assertMigrated();
    });

    it("Online: an unlogged table that was truncated before its turn is copied as it is then", async () => {
      await lab.querySource(database, "CREATE UNLOGGED TABLE cache (id int); INSERT INTO cache VALUES (1)");
      const inputs = inputsOf();
      const held = proxy.hold(`${String(inputs.migrationName)} copy`);
      await resource.create(inputs);
      await held.first;
      await until("no table is locked", async () => (await locksOfMigration()) === 0);
      await apply("TRUNCATE cache; INSERT INTO cache VALUES (2)");
      held.release();
      await assertMigrated();
      assert.deepEqual(await lab.queryTarget(database, "TABLE cache"), [{ id: 2 }]);
      assert.deepEqual(await restarts(), []);
    });

    it("Online: applications that replace, alter and drop tables again and again get each lock, and lose no row", async () => {
      await createSlowTable();
      const blockers = new Set<string>();
      const observing = new AbortController();
      const observed = (async () => {
        while (!observing.signal.aborted) for (const one of await blockersOfApplications()) blockers.add(one);
      })();
      const created = resource.create(inputsOf({ waitFor: undefined }));
      for (let rows = 1; rows <= 40; rows++) {
        await replaceRows(rows);
        await apply(`ALTER TABLE slow ALTER filler SET STATISTICS ${rows}`);
        await apply(
          `CREATE TABLE passing (id int PRIMARY KEY); INSERT INTO passing VALUES (${rows}); SELECT pg_sleep(0.2)`,
        );
        await apply("DROP TABLE passing");
      }
      observing.abort();
      await observed;
      await created;
      await assertMigrated();
      for (const one of blockers) assert.match(one, /^pg-migration /, "only the migration's sessions block");
    });
  });
}
