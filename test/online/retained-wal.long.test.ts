import assert from "node:assert/strict";
import type { MigrationSpec } from "../../provider/dist/inputs/inputs.js";
import type { Journal, RetainedWal } from "../../provider/dist/store/journal.js";
import { RetainedWalMonitor } from "../../provider/dist/worker/monitoring/retained-wal-monitor.js";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { endpointOf } from "../cdc/scene";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
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

  it("is warned of before its limit; at the limit the slot goes, and the next up copies the database anew", async () => {
    const database = await lab.database(table);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", maxRetainedWal: "60MB" }));
    await heldUp(database, async () => {
      await write(database, 50);
      // It warns from 48 MB on, which a look may find while the 50 are being written.
      await until("there is a warning", async () =>
        /keeps (4[89]|5\d)\.\d MB of WAL.*of 60\.0 MB at most/.test(JSON.stringify(await resource.refresh())),
      );
      assert.equal((await slots()).length, 1);
      const details = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
      await until("all of it is told", async () => (await details()).retainedWalBytes! >= 50 * 2 ** 20);
      assert.equal((await details()).retainedWalLimitBytes, 60 * 2 ** 20);
      await write(database, 50);
      await until("the migration has failed", async () => (await resource.refresh()).state === "Failed", 90);
      assert.match(resource.status.error!, /maxRetainedWal allows 60\.0 MB.*raise maxRetainedWal/s);
      assert.deepEqual(await slots(), []);
    });
    const again = await resource.update({ maxRetainedWal: "10GB" });
    assert.equal(again.state, "WaitingForUserAction");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("is watched on, and given up watching, when the line to the source has gone dead", async () => {
    const slot = "guarded";
    await lab.source.query("SELECT pg_create_physical_replication_slot($1, true)", { values: [slot] });
    const proxy = await CuttableProxy.to(endpointOf(lab.source.login));
    const noted: number[] = [];
    const guard = new RetainedWalMonitor({
      ...{ server: proxy.endpoint, side: "source", slot, slotDatabase: "postgres", database: "d", patienceMs: 500 },
      journal: {
        retainedWal: async (_: string, { bytes }: RetainedWal) => void noted.push(bytes),
      } as unknown as Journal,
      spec: () => ({ migrationName: "m" }) as MigrationSpec,
    });
    const noteAnew = async (): Promise<void> => {
      const before = noted.length;
      await write("postgres", 1);
      await until("what is retained is noted", () => noted.length > before);
    };
    try {
      await noteAnew();
      proxy.swallow();
      await noteAnew();
      proxy.swallow();
    } finally {
      await guard.stop();
      await proxy.close();
      await lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot] });
    }
  });
  it("is watched on of databases that have failed, one at its cutover, while another one is followed", async () => {
    const [database, other] = [await lab.database(table), await lab.database(table)];
    const differing = await lab.database(table);
    const databases = [database, other, differing];
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online", maxRetainedWal: "60MB" }));
    await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(differing));
    const cutover = resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [differing] });
    assert.match(await Resource.failure(cutover), new RegExp(`WaitingForUserAction: ${differing}: `));
    const details = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
    await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(database));
    await lab.source.query("UPDATE t SET v = 'w' WHERE id = 7", { database });
    await until("it has failed", async () => (await details()).migrationState === "Failed");
    assert.equal((await slots()).length, 3);
    await write(other, 100);
    await until("their slots are gone", async () => (await slots()).length === 1, 90);
    const told = (error = "") => error.match(/maxRetainedWal allows/g)?.length === 2;
    await until("it is told", async () => told((await resource.refresh()).error));
    assert.match((await details()).message!, /maxRetainedWal allows 60\.0 MB.*copies the database anew/s);
    const { worker, currentSubStateDetails } = resource.status;
    assert.equal(currentSubStateDetails.dbDetails[other]!.migrationState, "WaitingForCutoverTrigger");
    const again = await resource.update({
      ...{ maxRetainedWal: "10GB", triggerCutover: false, dbsToTriggerCutoverOn: [] },
    });
    assert.notEqual(again.worker.pid, worker.pid, "another one tries again");
    assert.deepEqual([again.state, again.error], ["WaitingForUserAction", undefined]);
    assert.equal((await lab.target.query("SELECT FROM t WHERE v = 'w'", { database })).length, 1, "copied anew");
    await resource.destroy();
  });
});
