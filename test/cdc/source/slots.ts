import assert from "node:assert/strict";
import { RefusedError, TimeoutError } from "../../../provider/src/errors";
import { changeCaptureNames, type ChangeCaptureNames } from "../../../provider/src/cdc/model/names";
import { createPublications, dropPublications } from "../../../provider/src/cdc/source/publication";
import type { BlockingSession } from "../../../provider/src/postgres/locks/blocking-sessions";
import { dropSlot } from "../../../provider/src/cdc/source/drop-slot";
import { createComparisonPoint, createSlot } from "../../../provider/src/cdc/source/slot";
import { inspectSlot } from "../../../provider/src/cdc/source/slot-state";
import { listTables } from "../../../provider/src/postgres/tables";
import { EmbeddedServer, type Major } from "../../support/servers/embedded-server";
import { until } from "../../support/until";
import { endpointOf } from "../scene";

export const namesOf = (migrationName: string, database: string, port = 5432): ChangeCaptureNames =>
  changeCaptureNames({ migrationName, target: { host: "target", port }, maintenanceDatabase: "postgres" }, database);

/** Defines the tests on one version of the source. */
export function testSlots(major: Major): void {
  describe(`slots and publications on PostgreSQL ${major}`, () => {
    let server: EmbeddedServer;
    const options = () => ({
      source: endpointOf(server.login),
      database: "postgres",
      slot: "s",
      plugin: "pgoutput" as const,
    });

    before(async () => {
      server = await EmbeddedServer.start({
        major,
        parameters: { wal_level: "logical", max_prepared_transactions: 5 },
      });
    });
    after(() => server.stop());

    it("exports the snapshot of the slot's consistent point", async () => {
      await server.query("CREATE TABLE seen (v int); INSERT INTO seen VALUES (1)");
      const slot = await createSlot(options());
      await server.query("INSERT INTO seen VALUES (2)");
      const rows = await server.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '${slot.snapshotId}'; SELECT v FROM seen`,
      );
      assert.deepEqual(rows, [{ v: 1 }]);
      await slot.release();
      const session = await server.connect();
      const state = await inspectSlot(session, "s");
      assert.equal(state!.confirmedFlushLsn, slot.consistentPoint);
      assert.equal(state!.activePid, undefined);
      await session.end();
      await assert.rejects(
        createSlot(options()),
        (error: Error) => error instanceof RefusedError && /already exists/.test(error.message),
      );
      await dropSlot(options().source, "postgres", "s");
      await dropSlot(options().source, "postgres", "s");
    });

    it("names the transactions it waits for, and leaves no slot after a timeout", async () => {
      const old = await server.connect();
      await old.query("SET application_name = 'old one'; BEGIN; CREATE TABLE held (v int)");
      const seen: BlockingSession[] = [];
      const waiting = createSlot({ ...options(), timeoutSeconds: 4, onWaiting: (sessions) => seen.push(...sessions) });
      await assert.rejects(
        waiting,
        (error: Error) =>
          error instanceof TimeoutError &&
          /old one.*idle in transaction.*: SELECT pg_terminate_backend\(\d+\);/s.test(error.message),
      );
      assert.equal(seen[0]!.applicationName, "old one");
      assert.ok(seen[0]!.pid! > 0 && seen[0]!.transactionAgeSeconds! > 0 && seen[0]!.queryStart);
      await old.query("ROLLBACK; BEGIN; CREATE TABLE held (v int); PREPARE TRANSACTION 'left alone'");
      await assert.rejects(
        createSlot({ ...options(), timeoutSeconds: 4 }),
        /prepared transaction left alone.*: ROLLBACK PREPARED 'left alone'/s,
      );
      await old.query("ROLLBACK PREPARED 'left alone'");
      await old.end();
    });

    it("creates comparison points with temporary slots", async () => {
      const point = await createComparisonPoint({ ...options(), slot: "point" });
      assert.ok(point.lsn > 0n && point.snapshotId !== "");
      const session = await server.connect();
      assert.equal((await inspectSlot(session, "point"))!.temporary, true);
      await point.release();
      await until("the slot is dropped", async () => (await inspectSlot(session, "point")) === undefined);
      await session.end();
    });

    it("publishes the selected tables without failing the source's own updates; a second call changes nothing", async () => {
      await server.query("CREATE DATABASE pub");
      const session = await server.connect("pub");
      await session.query(`
        CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE keyless (v int); CREATE TABLE unselected (id int PRIMARY KEY) INHERITS (keyed);
        CREATE TABLE whole (v int); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
        CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        ALTER TABLE p1 ADD PRIMARY KEY (id); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
        INSERT INTO keyless VALUES (1); INSERT INTO p VALUES (1), (11)`);
      const names = namesOf("m", "pub");
      const selected = (await listTables(session)).filter(({ name }) => name !== "unselected");
      await createPublications(session, names, selected);
      const { publications, insertOnlyTables } = await createPublications(session, names, selected);
      assert.deepEqual(publications, [names.publication, names.insertOnlyPublication]);
      assert.deepEqual(
        insertOnlyTables.map(({ name }) => name),
        major >= 13 ? ["keyless", "p", "p2"] : ["keyless", "p2"],
      );
      const { rows } = await session.query(
        "SELECT tablename FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1",
        [names.publication],
      );
      assert.deepEqual(rows, [{ tablename: "keyed" }, { tablename: "p1" }, { tablename: "whole" }]);
      await session.query("UPDATE keyless SET v = 2; UPDATE p SET id = id + 1; DELETE FROM keyless; DELETE FROM p");
      await dropPublications(session, names);
      await dropPublications(session, names);
      await session.end();
      await server.query("DROP DATABASE pub");
    });

    it("causes no deadlock with applications: it alters busy tables one at a time", async () => {
      await server.query("CREATE DATABASE busy");
      const session = await server.connect("busy");
      const application = await server.connect("busy");
      await session.query("CREATE TABLE first (v int); CREATE TABLE second (v int)");
      const names = namesOf("m", "busy");
      const createWhileBusy = async (isAltered: string): Promise<void> => {
        await application.query("BEGIN; LOCK TABLE second IN ACCESS EXCLUSIVE MODE");
        const created = createPublications(session, names, await listTables(session), { keyless: "full" });
        const waits = `SELECT FROM pg_locks WHERE NOT granted AND relation = 'second'::regclass
          AND EXISTS (${isAltered})`;
        await until(
          "one table is altered, and the session waits for the other",
          async () => (await server.query(waits, { database: "busy" })).length === 1,
        );
        await application.query("LOCK TABLE first IN ACCESS EXCLUSIVE MODE; COMMIT");
        await created;
      };
      await createWhileBusy("SELECT FROM pg_class WHERE relname = 'first' AND relreplident = 'f'");
      for (const table of ["first", "second"])
        await session.query(`ALTER PUBLICATION "${names.publication}" DROP TABLE ${table}`);
      await createWhileBusy("SELECT FROM pg_publication_rel WHERE prrelid = 'first'::regclass");
      const { rowCount } = await session.query("SELECT FROM pg_publication_rel");
      assert.equal(rowCount, 2);
      await dropPublications(session, names);
      assert.equal((await session.query("SELECT FROM pg_class WHERE relreplident = 'f'")).rowCount, 0);
      await Promise.all([application.end(), session.end()]);
      await server.query("DROP DATABASE busy");
    });

    it("restores replica identities while the source's applications keep updating", async () => {
      await server.query("CREATE DATABASE identities");
      const session = await server.connect("identities");
      await session.query("CREATE TABLE first (v int); CREATE TABLE second (v int); INSERT INTO first VALUES (1)");
      const names = namesOf("m", "identities");
      await createPublications(session, names, await listTables(session), { keyless: "full" });
      const reader = await server.connect("identities");
      await reader.query("BEGIN; SELECT FROM second");
      const dropped = dropPublications(session, names);
      const identity = "SELECT FROM pg_class WHERE relname = 'first' AND relreplident = 'd'";
      await until(
        "one table has its former replica identity",
        async () => (await reader.query(identity)).rowCount === 1,
      );
      await reader.query("UPDATE first SET v = 2");
      await reader.query("COMMIT");
      await dropped;
      await reader.end();
      await session.end();
      await server.query("DROP DATABASE identities");
    });

    it("restores replica identities when two migrations end together, in either order", async () => {
      await server.query("CREATE DATABASE together");
      const [one, other, obstacle] = await Promise.all([1, 2, 3].map(() => server.connect("together")));
      await one!.query("CREATE TABLE t (v int)");
      const tables = await listTables(one!);
      const [ones, others] = [namesOf("one", "together"), namesOf("other", "together")];
      await createPublications(one!, ones, tables, { keyless: "full" });
      await createPublications(other!, others, await listTables(one!), { keyless: "full" });
      // Blocks the first migration before it writes the other publication's comment.
      await obstacle!.query("BEGIN; LOCK TABLE pg_description IN SHARE MODE");
      const waiting = (count: number) => async (): Promise<boolean> =>
        (
          await server.query(
            "SELECT FROM pg_stat_activity WHERE application_name = 'test' AND datname = 'together' AND wait_event_type = 'Lock'",
          )
        ).length === count;
      const first = dropPublications(one!, ones);
      await until("the first waits", waiting(1));
      const second = dropPublications(other!, others);
      await until("the second waits as well", waiting(2));
      await obstacle!.query("ROLLBACK");
      await Promise.all([first, second]);
      assert.equal((await one!.query("SELECT FROM pg_class WHERE relreplident = 'f'")).rowCount, 0);
      await Promise.all([one, other, obstacle].map((session) => session!.end()));
      await server.query("DROP DATABASE together");
    });

    it("restores replica identities that another migration transferred to it while it recorded its own", async () => {
      await server.query("CREATE DATABASE transferred");
      const [ending, remaining, obstacle] = await Promise.all([1, 2, 3].map(() => server.connect("transferred")));
      await ending!.query("CREATE TABLE t (v int)");
      const endingNames = namesOf("ending", "transferred");
      const remainingNames = namesOf("remaining", "transferred");
      await createPublications(ending!, endingNames, await listTables(ending!), { keyless: "full" });
      await createPublications(remaining!, remainingNames, await listTables(ending!), { keyless: "full" });
      await ending!.query("CREATE TABLE added (v int)");
      // Blocks the remaining migration after it has read its comment, and before it writes it.
      await obstacle!.query("BEGIN; LOCK TABLE pg_description IN SHARE MODE");
      const waiting = (count: number) => async (): Promise<boolean> =>
        (
          await server.query(
            "SELECT FROM pg_stat_activity WHERE application_name = 'test' AND datname = 'transferred' AND wait_event_type = 'Lock'",
          )
        ).length === count;
      const recorded = createPublications(remaining!, remainingNames, await listTables(ending!), { keyless: "full" });
      await until("the remaining migration waits", waiting(1));
      const dropped = dropPublications(ending!, endingNames);
      await until("the ending migration waits as well", waiting(2));
      await obstacle!.query("ROLLBACK");
      await Promise.all([recorded, dropped]);
      assert.equal((await remaining!.query("SELECT FROM pg_class WHERE relreplident = 'f'")).rowCount, 2);
      assert.deepEqual(await dropPublications(remaining!, remainingNames), []);
      assert.equal((await remaining!.query("SELECT FROM pg_class WHERE relreplident = 'f'")).rowCount, 0);
      await Promise.all([ending, remaining, obstacle].map((session) => session!.end()));
      await server.query("DROP DATABASE transferred");
    });

    it("keeps REPLICA IDENTITY FULL for another role's migration, and returns the statement that resets it later", async () => {
      const login = { user: "migrator", password: "m" };
      await server.query("CREATE ROLE migrator LOGIN PASSWORD 'm'");
      await server.query("CREATE DATABASE roles OWNER migrator");
      const [owner, superuser] = await Promise.all([server.connect("roles", login), server.connect("roles")]);
      await superuser.query("GRANT ALL ON SCHEMA public TO migrator");
      await owner.query("CREATE TABLE t (v int)");
      const [owners, superusers] = [namesOf("owners", "roles"), namesOf("superusers", "roles")];
      await createPublications(owner, owners, await listTables(owner), { keyless: "full" });
      await createPublications(superuser, superusers, await listTables(owner), { keyless: "full" });
      const notes = await dropPublications(owner, owners);
      assert.match(
        notes.join(),
        /of another role.*After it was dropped: ALTER TABLE "?public"?\."?t"? REPLICA IDENTITY DEFAULT/,
      );
      const { rows } = await owner.query("SELECT pubname FROM pg_publication WHERE pubupdate");
      assert.deepEqual(rows, [{ pubname: superusers.publication }]);
      assert.equal((await owner.query("SELECT FROM pg_class WHERE relreplident = 'f'")).rowCount, 1);
      await dropPublications(superuser, superusers);
      await Promise.all([owner.end(), superuser.end()]);
      await server.query("DROP DATABASE roles");
      await server.query("DROP ROLE migrator");
    });
  });
}
