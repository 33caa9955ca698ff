import assert from "node:assert/strict";
import { changeCaptureNames } from "../../../provider/dist/cdc/model/names.js";
import { migrationRoles } from "../../../provider/dist/cdc/model/stream-roles.js";
import { verifySlotPlace } from "../../../provider/dist/cdc/source/slot-identity.js";
import type { MigrationSpec } from "../../../provider/dist/inputs/inputs.js";
import type { Journal } from "../../../provider/dist/store/journal.js";
import type { Finding } from "../../../provider/dist/findings.js";
import { RetainedWalMonitor, toleratedSeconds } from "../../../provider/dist/worker/monitoring/retained-wal-monitor.js";
import { endpointOf } from "../../cdc/scene";
import { assertSameContent } from "../../support/content";
import { findingLines } from "../../support/findings";
import { EmbeddedServer } from "../../support/servers/embedded-server";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { slotsOf, tableSql, whileTargetIsLocked, writeWal } from "./retained-wal-scene";

describe("the wait before a slot beyond maxRetainedWal is dropped", () => {
  for (const [what, unconfirmed, isBlocked, seconds] of [
    ["is 30 s for a burst just above the limit", 65, true, 30],
    ["is 3 s far above the limit if the stream is blocked", 95, true, 3],
    ["is 30 s far above the limit if the stream is not blocked", 95, false, 30],
    ["is 120 s if the stream is up to date and only has to confirm", 5, false, 120],
  ] as const) {
    it(what, () => assert.equal(toleratedSeconds(unconfirmed, 60, isBlocked), seconds));
  }
});

describe("an unused slot", () => {
  const slot = "unread";
  const reported: string[] = [];
  let server: EmbeddedServer;
  let monitor: RetainedWalMonitor;

  before(async () => {
    const parameters = { wal_level: "logical", idle_replication_slot_timeout: "2s" };
    server = await EmbeddedServer.start({ major: 18, parameters });
    monitor = new RetainedWalMonitor({
      ...{ server: endpointOf(server.login), side: "source", slot, slotDatabase: "postgres", database: "d" },
      journal: {
        retainedWal: () => Promise.resolve(),
        event: () => Promise.resolve(),
        findings: async ([{ message, remedy }]: [Finding]) => void reported.push(`${message}: ${remedy}`),
      } as unknown as Journal,
      spec: () => ({ migrationName: "m" }) as MigrationSpec,
    });
  });
  after(async () => {
    await monitor.close();
    await server.stop();
  });

  it("causes a warning before its server invalidates it, and an error that names the cause afterwards", async () => {
    await server.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", { values: [slot] });
    await until("a warning is reported", () => reported.length > 0);
    assert.match(
      reported.join(),
      /^the slot unread is not read, and the source invalidates it after 2 s .*: on the source, .*idle_replication_slot_timeout = 0/,
    );
    await until("the server invalidates the slot", async () => {
      await server.query("CHECKPOINT");
      return monitor.signal.aborted;
    });
    const why =
      /603120: .*no session read it for longer than idle_replication_slot_timeout.*To do: .*idle_replication_slot_timeout = 0.*start it again/s;
    assert.match(String(monitor.signal.reason), why);
    const session = await server.connect();
    await assert.rejects(
      verifySlotPlace(session, { name: slot, parts: migrationRoles }, () => 0n),
      why,
    );
    await session.query("SELECT pg_drop_replication_slot($1)", [slot]);
    await session.end();
    assert.equal(reported.length, 1);
  });
});

describe("WAL that the source retains for a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { parameters: { max_wal_size: "1GB" } } });
  });

  after(() => lab.stop());

  it('cancels only the database above the limit with onMaxRetainedWal: "cancel"', async () => {
    const [database, other] = [await lab.database(tableSql), await lab.database(tableSql)];
    const resource = new Resource();
    await resource.create(
      lab.onlineInputs([database, other], {
        maxRetainedWal: "60MB",
        onMaxRetainedWal: "cancel",
      }),
    );
    await whileTargetIsLocked(lab, database, async () => {
      await writeWal(lab, database, 100);
      await until(
        "the database is canceled",
        async () => {
          const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
          return dbDetails[database]!.migrationState === "Canceled";
        },
        90,
      );
    });
    assert.equal((await slotsOf(lab)).length, 1, "the slot of the other database");
    const details = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.equal(details.migrationOperation, "canceled");
    assert.match(details.message!, /more than maxRetainedWal \(60\.0 MB\).*removed from dbsToMigrate/s);
    // The state that a killed worker leaves if it recorded the cancellation but did not drop the slot.
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
    assert.equal((await slotsOf(lab)).length, 1, "again only the slot of the other database");
    const again = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.deepEqual([again.migrationState, again.migrationOperation], ["Canceled", "canceled"]);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database: other }, { server: lab.target, database: other });
    assert.equal((await resource.diff()).changes, false);
    await resource.destroy();
  });

  /** Makes the source remove WAL that slots still need. */
  async function loseSlots(database: string): Promise<void> {
    await lab.source.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await lab.source.query("SELECT pg_reload_conf()");
    try {
      await writeWal(lab, database, 120);
      await until("the slot is lost", async () => {
        await lab.source.query("CHECKPOINT");
        return (await lab.source.query("SELECT FROM pg_replication_slots WHERE wal_status = 'lost'")).length === 1;
      });
    } finally {
      await lab.source.query("ALTER SYSTEM RESET max_slot_wal_keep_size");
      await lab.source.query("SELECT pg_reload_conf()");
    }
  }

  it("is removed at the source's own limit: the migration fails and names the remedy", async () => {
    const database = await lab.database(tableSql);
    const resource = await lab.follow([database]);
    await whileTargetIsLocked(lab, database, () => loseSlots(database));
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(
      resource.status.error!,
      /603120.*removed WAL that the slot needs.*max_slot_wal_keep_size = -1.*then delete this migration and start it again/s,
    );
    assert.doesNotMatch(resource.status.error!, /stays on the source/);
    await resource.destroy();
  });

  it("is removed during the initial copy: the copy ends at once", async () => {
    // Copying its rows takes minutes.
    const database = await lab.database(
      `CREATE TABLE slow AS SELECT generate_series(1, 20000) AS id; ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    const resource = await lab.follow([database], { waitFor: "started" });
    await until("the worker copies tables", async () => {
      const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
      return dbDetails[database]?.message === "copying tables";
    });
    await loseSlots(database);
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 60);
    assert.match(
      resource.status.error!,
      /603120.*removed WAL that the slot needs.*then run pulumi up, which copies the/s,
    );
    await lab.source.query("ALTER TABLE slow DROP CONSTRAINT slow_check; ALTER TABLE slow ADD PRIMARY KEY (id)", {
      database,
    });
    const again = await resource.update({ triggerCutover: true, waitFor: "succeeded" });
    assert.equal(again.state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("causes a warning on the target during a rollback replication, which continues", async () => {
    const database = await lab.database(tableSql);
    const resource = new Resource();
    const inputs = lab.onlineInputs([database], { maxRetainedWal: "60MB", rollback: "keep" });
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
      await until("a warning is reported", async () =>
        /the target retains \d\d\.\d MB of WAL.*the limit is 60\.0 MB.*set rollback to drop/.test(
          findingLines(await resource.refresh()),
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
