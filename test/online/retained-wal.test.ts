import assert from "node:assert/strict";
import { changeCaptureNames } from "../../provider/dist/cdc/model/names.js";
import { migrationRoles } from "../../provider/dist/cdc/model/stream-roles.js";
import { verifySlotPlace } from "../../provider/dist/cdc/source/slot-identity.js";
import type { MigrationSpec } from "../../provider/dist/inputs/inputs.js";
import type { Journal } from "../../provider/dist/store/journal.js";
import type { Finding } from "../../provider/dist/findings.js";
import { RetainedWalMonitor, lockTimeoutSeconds } from "../../provider/dist/worker/monitoring/retained-wal-monitor.js";
import { endpointOf } from "../cdc/scene";
import { assertSameContent } from "../support/content";
import { EmbeddedServer } from "../support/servers/embedded-server";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("the patience with WAL beyond its limit", () => {
  for (const [what, unconfirmed, isHeldUp, seconds] of [
    ["a burst is waited for", 65, true, 30],
    ["far beyond is hardly waited for", 95, true, 3],
    ["unless nothing holds the stream up", 95, false, 30],
    ["a stream that is up to date is given the time to let go", 5, false, 120],
  ] as const) {
    it(what, () => assert.equal(lockTimeoutSeconds(unconfirmed, 60, isHeldUp), seconds));
  }
});

describe("a slot that nobody reads", () => {
  const slot = "unread";
  const told: string[] = [];
  let server: EmbeddedServer;
  let guard: RetainedWalMonitor;

  before(async () => {
    const parameters = { wal_level: "logical", idle_replication_slot_timeout: "2s" };
    server = await EmbeddedServer.start({ major: 18, parameters });
    guard = new RetainedWalMonitor({
      ...{ server: endpointOf(server.login), side: "source", slot, slotDatabase: "postgres", database: "d" },
      journal: {
        retainedWal: () => Promise.resolve(),
        event: () => Promise.resolve(),
        findings: async ([{ message, remedy }]: [Finding]) => void told.push(`${message}: ${remedy}`),
      } as unknown as Journal,
      spec: () => ({ migrationName: "m" }) as MigrationSpec,
    });
  });
  after(async () => {
    await guard.stop();
    await server.stop();
  });

  it("is warned of before its server gives it up for that, and its loss is told as what it is", async () => {
    await server.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", { values: [slot] });
    await until("there is a warning", () => told.length > 0);
    assert.match(
      told.join(),
      /^nobody reads the slot unread, which the source gives up after 2 s without.*: on the source, .*idle_replication_slot_timeout = 0/,
    );
    await until("it is given up", async () => {
      await server.query("CHECKPOINT");
      return guard.signal.aborted;
    });
    const why =
      /603120: .*nobody has read it for longer than idle_replication_slot_timeout.*To do: .*idle_replication_slot_timeout = 0.*start it anew/s;
    assert.match(String(guard.signal.reason), why);
    const session = await server.connect();
    await assert.rejects(
      verifySlotPlace(session, { name: slot, parts: migrationRoles }, () => 0n),
      why,
    );
    await session.query("SELECT pg_drop_replication_slot($1)", [slot]);
    await session.end();
    assert.equal(told.length, 1);
  });
});

describe("WAL that the source keeps for a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { parameters: { max_wal_size: "1GB" } } });
  });

  after(() => lab.stop());

  const table = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT generate_series(1, 100), 'v'";

  const write = (database: string, megabytes: number) =>
    lab.source.query(
      "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1024 * 1024)) FROM generate_series(1, $1)",
      {
        database,
        values: [megabytes],
      },
    );

  const slots = () => lab.source.query("SELECT slot_name FROM pg_replication_slots WHERE NOT temporary");

  /** The target takes nothing while somebody holds this table locked there. */
  async function heldUp(database: string, run: () => Promise<void>): Promise<void> {
    const obstacle = await lab.target.connect(database);
    try {
      await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      await lab.source.query("UPDATE t SET v = 'held up' WHERE id = 1", { database });
      await run();
    } finally {
      await obstacle.end();
    }
  }

  it("cancels only the database that it is too much for, where that was chosen", async () => {
    const [database, other] = [await lab.database(table), await lab.database(table)];
    const resource = new Resource();
    await resource.create(
      lab.inputs([database, other], {
        migrationMode: "Online",
        maxRetainedWal: "60MB",
        onMaxRetainedWal: "cancel",
      }),
    );
    await heldUp(database, async () => {
      await write(database, 100);
      await until(
        "it is canceled",
        async () => {
          const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
          return dbDetails[database]!.migrationState === "Canceled";
        },
        90,
      );
    });
    assert.equal((await slots()).length, 1, "the other's");
    const details = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.equal(details.migrationOperation, "canceled");
    assert.match(details.message!, /maxRetainedWal allows 60\.0 MB.*taken out of dbsToMigrate/s);
    // As a worker leaves it that is killed when it has said so, and before it has dropped the slot.
    const { slot } = changeCaptureNames(
      { migrationName: resource.inputs.migrationName as string, target: lab.administrator },
      database,
    );
    await lab.source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", { database, values: [slot] });
    await lab.target.query("UPDATE pgmigration.database SET slot = $1, state = 'Canceling' WHERE name = $2", {
      values: [slot, database],
    });
    process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    assert.equal((await slots()).length, 1, "the other's, again");
    const again = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.deepEqual([again.migrationState, again.migrationOperation], ["Canceled", "canceled"]);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database: other }, { server: lab.target, database: other });
    assert.equal((await resource.diff()).changes, false);
    await resource.destroy();
  });

  /** Has the source remove WAL that slots need, while something keeps them from going on. */
  async function loseSlots(database: string): Promise<void> {
    await lab.source.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await lab.source.query("SELECT pg_reload_conf()");
    try {
      await write(database, 120);
      await until("the slot is lost", async () => {
        await lab.source.query("CHECKPOINT");
        return (await lab.source.query("SELECT FROM pg_replication_slots WHERE wal_status = 'lost'")).length === 1;
      });
    } finally {
      await lab.source.query("ALTER SYSTEM RESET max_slot_wal_keep_size");
      await lab.source.query("SELECT pg_reload_conf()");
    }
  }

  it("is gone by the source's own limit: the migration ends as Failed and says what to do", async () => {
    const database = await lab.database(table);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await heldUp(database, () => loseSlots(database));
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(
      resource.status.error!,
      /603120.*removed WAL that the slot needs.*max_slot_wal_keep_size = -1.*then delete this migration and start it anew/s,
    );
    assert.doesNotMatch(resource.status.error!, /is kept on the source/);
    await resource.destroy();
  });

  it("is gone in the middle of a copy, which does not go on in vain", async () => {
    // Its rows take minutes.
    const database = await lab.database(
      `CREATE TABLE slow AS SELECT generate_series(1, 20000) AS id; ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", waitFor: "started" }));
    await until("tables are copied", async () => {
      const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
      return dbDetails[database]?.message === "copying tables";
    });
    await loseSlots(database);
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(resource.status.error!, /603120.*removed WAL that the slot needs.*then pulumi up, which copies the/s);
    await lab.source.query("ALTER TABLE slow DROP CONSTRAINT slow_check; ALTER TABLE slow ADD PRIMARY KEY (id)", {
      database,
    });
    const again = await resource.update({ triggerCutover: true, waitFor: "succeeded" });
    assert.equal(again.state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is warned of on the target, too, while a way back is kept, and goes on there", async () => {
    const database = await lab.database(table);
    const resource = new Resource();
    const inputs = lab.inputs([database], { migrationMode: "Online", maxRetainedWal: "60MB", rollback: "keep" });
    await resource.create(inputs);
    await resource.update({ triggerCutover: true });
    const obstacle = await lab.source.connect(database);
    try {
      await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      await lab.target.query(
        `UPDATE t SET v = 'back' WHERE id = 1;
         SELECT pg_logical_emit_message(false, 'test', repeat('x', 1024 * 1024)) FROM generate_series(1, 70)`,
        { database },
      );
      await until("there is a warning", async () =>
        /the target keeps \d\d\.\d MB of WAL.*of 60\.0 MB at most.*set rollback to drop/.test(
          JSON.stringify(await resource.refresh()),
        ),
      );
    } finally {
      await obstacle.end();
    }
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
