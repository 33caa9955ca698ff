import assert from "node:assert/strict";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import type { Major } from "../support/servers/embedded-server";
import { assertSameContent } from "../support/content";
import { findingsOf } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const schema = `
  CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
  INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)`;

/** Defines the tests from a version: the source's statistics are in a collector before 15, in shared memory from 15 on. */
export function writeAfterTheSnapshot(major: Major): void {
  describe(`writes to the source after the snapshot of an offline migration, PostgreSQL ${major}`, () => {
    let lab: Lab;
    let proxy: CuttableProxy;
    let database: string;
    let resource: Resource;

    before(async () => {
      // Autovacuum would commit transactions at any time.
      lab = await Lab.start({
        source: { major, parameters: { autovacuum: "off" } },
        target: { major: 18 },
      });
    });
    after(() => lab.stop());

    beforeEach(async () => {
      database = await lab.database(schema);
      proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
      resource = new Resource();
    });
    afterEach(async () => {
      await resource.destroy();
      await proxy.close();
    });

    const inputs = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
      lab.inputs([database], { source: proxy.endpoint, migrationOption: "Migrate", ...changes });
    const onSource = (sql: string): Promise<unknown> => lab.querySource(database, sql);
    const warnings = (): string[] =>
      findingsOf(resource.status, database)
        .filter(({ code }) => code === "PGM-508")
        .map(({ message }) => message);
    const events = async (): Promise<string> =>
      JSON.stringify(await lab.target.query("SELECT message FROM pgmigration.event ORDER BY id"));

    /** Runs statements on the source after the snapshot was taken. */
    async function migrate(changes: Record<string, unknown>, during: () => Promise<unknown>): Promise<void> {
      const held = proxy.hold("pg-migration dump");
      const created = resource.create(inputs(changes));
      created.catch(() => undefined);
      try {
        await held.first;
        await during();
      } finally {
        held.release();
      }
      await created;
    }

    it("are a warning that names the tables, and no others", async () => {
      await migrate({}, () => onSource("INSERT INTO a SELECT generate_series(2, 5); DELETE FROM b"));
      assert.equal(resource.status.state, "Succeeded");
      assert.equal(warnings().length, 1);
      assert.match(warnings()[0]!, /the target lacks these changes: public\.a \(4 rows\), public\.b \(1 rows\)$/);
    });

    it("are not reported if every transaction was rolled back or only read", async () => {
      await migrate({}, async () => {
        await onSource("BEGIN; INSERT INTO a VALUES (7); SAVEPOINT s; DELETE FROM b; ROLLBACK");
        await onSource("SELECT count(*) FROM a");
        await onSource("CHECKPOINT");
      });
      assert.deepEqual(warnings(), []);
      assert.match(await events(), /"0 transactions were committed on the source after the snapshot/);
      await assertSameContent(...lab.places(database));
    });

    it("are not reported for other databases, excluded tables, ANALYZE and temporary tables", async () => {
      const other = await lab.database(schema);
      await migrate({ exclude: { tables: ["c"] } }, async () => {
        await lab.querySource(other, "INSERT INTO a VALUES (2)");
        await onSource("INSERT INTO c VALUES (2)");
        await onSource("ANALYZE; CREATE TEMP TABLE scratch AS SELECT 1 AS one");
      });
      assert.deepEqual(warnings(), []);
      assert.match(await events(), /"[1-9]\d* transactions were committed on the source after the snapshot/);
    });

    it("fail the migration with offlineWrites: fail, and the next attempt copies everything again", async () => {
      const failed = migrate({ offlineWrites: "fail" }, () => onSource("UPDATE a SET id = 2"));
      assert.match(await Resource.failure(failed), /PGM-508: .*the target lacks these changes: public\.a \(1 rows\)/);
      assert.equal(resource.status.state, "Failed");
      assert.equal((await resource.update({})).state, "Succeeded");
      assert.deepEqual(warnings(), []);
      await assertSameContent(...lab.places(database));
    });

    /** Runs statements after all rows were copied: the target refreshes a materialized view that waits for a lock. */
    async function atTheEnd(during: () => Promise<unknown>): Promise<void> {
      await onSource("CREATE MATERIALIZED VIEW m AS SELECT 1 AS one FROM pg_advisory_xact_lock(1)");
      let obstacle = await lab.target.connect();
      try {
        await migrate({ waitFor: "started" }, async () => {
          await obstacle.end();
          obstacle = await lab.target.connect(database, lab.administrator);
          await obstacle.query("SELECT pg_advisory_lock(1)");
        });
        await until("all rows are copied", async () => {
          const waiting = "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'advisory'";
          return (await lab.target.query(waiting, { values: [database] })).length > 0;
        });
        await during();
      } finally {
        await obstacle.end();
      }
      assert.equal((await resource.update({ waitFor: undefined })).state, "Succeeded");
    }

    it("include a TRUNCATE after the rows were copied", async () => {
      await atTheEnd(() => onSource("TRUNCATE c"));
      assert.match(warnings().join(), /: public\.c \(truncated\)$/);
    });

    it("are found by the successor of a worker that was killed after it had copied all rows", async () => {
      await atTheEnd(async () => {
        await onSource("INSERT INTO b VALUES (2)");
        const { worker } = await resource.refresh();
        process.kill(worker.pid!, "SIGKILL");
        await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
      });
      assert.match(await events(), /resuming after the copy of an earlier worker: all rows are copied/);
      assert.match(warnings().join(), /: public\.b \(1 rows\)$/);
    });

    // Before 15, an idle session reports its last writes with its next transaction.
    if (major >= 15)
      it("include those that an idle session has not reported yet", async () => {
        const session = await lab.source.connect(database);
        try {
          await migrate({}, async () => {
            await session.query("SELECT FROM a");
            await session.query("INSERT INTO a VALUES (3)");
          });
          assert.match(warnings().join(), /: public\.a \(1 rows\)$/);
        } finally {
          await session.end();
        }
      });

    if (major >= 15)
      it("include those that a session in another transaction cannot report yet, without their tables", async () => {
        const session = await lab.source.connect(database);
        try {
          await migrate({}, async () => {
            await session.query("SELECT FROM a");
            await session.query("INSERT INTO a VALUES (3)");
            await session.query("BEGIN; SELECT 1");
          });
          // A server under load may report the INSERT before the transaction begins.
          assert.match(
            warnings().join(),
            /: (public\.a \(1 rows\)|\d+ transactions in unknown tables, because a session)/,
          );
        } finally {
          await session.end();
        }
      });

    it("include those of a transaction that is still open at the end", async () => {
      const session = await lab.source.connect(database);
      try {
        await migrate({}, () => session.query("BEGIN; INSERT INTO a VALUES (3)"));
        assert.match(warnings().join(), /transactions that have written are still open: postgres \(/);
      } finally {
        await session.end();
      }
    });
  });
}
