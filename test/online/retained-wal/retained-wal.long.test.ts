import assert from "node:assert/strict";
import type { MigrationSpec } from "../../../provider/dist/inputs/inputs.js";
import type { Journal, RetainedWal } from "../../../provider/dist/store/journal.js";
import { RetainedWalMonitor } from "../../../provider/dist/worker/monitoring/retained-wal-monitor.js";
import { CuttableProxy } from "../../cdc/cuttable-proxy";
import { endpointOf } from "../../cdc/scene";
import { assertSameContent } from "../../support/content";
import { findingLines } from "../../support/findings";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { slotsOf, tableSql, whileTargetIsLocked, writeWal } from "./retained-wal-scene";
import { changeCaptureNames } from "../../../provider/dist/cdc/model/names.js";

describe("WAL that the source retains for a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { parameters: { max_wal_size: "1GB" } } });
  });

  after(() => lab.stop());

  it("causes a warning below maxRetainedWal; above, the slot is dropped, and the next up copies the database again", async () => {
    const database = await lab.database(tableSql);
    const resource = await lab.follow([database], { maxRetainedWal: "60MB" });
    await whileTargetIsLocked(lab, database, async () => {
      await writeWal(lab, database, 50);
      // The warning starts at 48 MB, so a check may find it before all 50 MB are written.
      await until("a warning is reported", async () =>
        /retains (4[89]|5\d)\.\d MB of WAL.*the limit is 60\.0 MB/.test(findingLines(await resource.refresh())),
      );
      assert.equal((await slotsOf(lab)).length, 1);
      const details = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
      await until("the status shows all 50 MB", async () => (await details()).retainedWalBytes! >= 50 * 2 ** 20);
      assert.equal((await details()).retainedWalLimitBytes, 60 * 2 ** 20);
      await writeWal(lab, database, 50);
      await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 90);
      assert.match(resource.status.error!, /more than maxRetainedWal \(60\.0 MB\).*raise maxRetainedWal/s);
      assert.deepEqual(await slotsOf(lab), []);
    });
    const again = await resource.update({ maxRetainedWal: "10GB" });
    assert.equal(again.state, "WaitingForUserAction");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("is limited while the rows are compared before a cutover", async () => {
    const database = await lab.database(tableSql);
    const resource = await lab.follow([database], { maxRetainedWal: "60MB", verifyBeforeCutover: true });
    await whileTargetIsLocked(lab, database, async () => {
      const update = Resource.failure(resource.update({ triggerCutover: true }));
      const reader = new Resource();
      Object.assign(reader, { id: resource.id, outputs: resource.outputs });
      await until(
        "the rows are compared",
        async () => (await reader.messageOf(database)) === "comparing before the cutover",
      );
      await writeWal(lab, database, 100);
      assert.match(await update, /more than maxRetainedWal \(60\.0 MB\)/);
    });
    assert.deepEqual(await slotsOf(lab), []);
    assert.equal((await resource.update({ maxRetainedWal: "10GB" })).state, "Succeeded");
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

  it("is measured again after its monitor's connection stops responding, and the monitor can be stopped", async () => {
    const slot = "guarded";
    await lab.source.query("SELECT pg_create_physical_replication_slot($1, true)", { values: [slot] });
    const proxy = await CuttableProxy.to(endpointOf(lab.source.login));
    const noted: number[] = [];
    const monitor = new RetainedWalMonitor({
      ...{ server: proxy.endpoint, side: "source", slot, slotDatabase: "postgres", database: "d", patienceMs: 500 },
      journal: {
        retainedWal: async (_: string, { bytes }: RetainedWal) => void noted.push(bytes),
      } as unknown as Journal,
      spec: () => ({ migrationName: "m" }) as MigrationSpec,
    });
    const measuresAgain = async (): Promise<void> => {
      const before = noted.length;
      await writeWal(lab, "postgres", 1);
      await until("the retained WAL is recorded again", () => noted.length > before);
    };
    try {
      await measuresAgain();
      proxy.swallow();
      await measuresAgain();
      proxy.swallow();
    } finally {
      await monitor.close();
      await proxy.close();
      await lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot] });
    }
  });
  it("is limited for failed databases, too, while another database is replicated", async () => {
    const [database, other] = [await lab.database(tableSql), await lab.database(tableSql)];
    const differing = await lab.database(tableSql);
    const databases = [database, other, differing];
    const resource = await lab.follow(databases, { maxRetainedWal: "60MB" });
    await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(differing));
    const cutover = resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [differing] });
    assert.match(await Resource.failure(cutover), new RegExp(`WaitingForUserAction: ${differing}: `));
    const details = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
    await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(database));
    await lab.source.query("UPDATE t SET v = 'w' WHERE id = 7", { database });
    await until("the database has failed", async () => (await details()).migrationState === "Failed");
    assert.equal((await slotsOf(lab)).length, 3);
    await writeWal(lab, other, 100);
    await until("their slots are dropped", async () => (await slotsOf(lab)).length === 1, 90);
    const names = (error = "") => error.match(/more than maxRetainedWal/g)?.length === 2;
    await until("the error names both databases", async () => names((await resource.refresh()).error));
    assert.match((await details()).message!, /more than maxRetainedWal \(60\.0 MB\).*copies the database again/s);
    const { worker, currentSubStateDetails } = resource.status;
    assert.equal(currentSubStateDetails.dbDetails[other]!.migrationState, "WaitingForCutoverTrigger");
    const again = await resource.update({
      ...{ maxRetainedWal: "10GB", triggerCutover: false, dbsToTriggerCutoverOn: [] },
    });
    assert.notEqual(again.worker.pid, worker.pid, "another worker tries again");
    assert.deepEqual([again.state, again.error], ["WaitingForUserAction", undefined]);
    assert.equal((await lab.target.query("SELECT FROM t WHERE v = 'w'", { database })).length, 1, "copied again");
    await resource.destroy();
  });

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
      {
        migrationName: resource.inputs.migrationName as string,
        target: lab.administrator,
        maintenanceDatabase: "postgres",
      },
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
});
