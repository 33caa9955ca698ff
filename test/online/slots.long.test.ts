import assert from "node:assert/strict";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { startStartingServer } from "../support/servers/starting-server";
import { until } from "../support/until";
import { assertFinding } from "../support/findings";
import { assertSameContent } from "../support/content";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("the source's replication slots", () => {
  let lab: Lab;

  before(async () => {
    // One slot for each of three databases, and one for comparisons.
    lab = await Lab.start({ source: { parameters: { max_replication_slots: 4, max_prepared_transactions: 2 } } });
  });
  after(() => lab.stop());

  it("are read again before the state is WaitingForCutoverTrigger: a successor waits for the source first", async () => {
    const database = await lab.database(table);
    const resource = new Resource();
    const { worker } = await resource.create(lab.onlineInputs([database]));
    process.kill(worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await lab.source.halt();
    const starting = await startStartingServer(lab.source.port);
    let update: Promise<unknown> | undefined;
    try {
      update = resource.update({ reconnectFor: 120 });
      const observer = new Resource();
      [observer.id, observer.outputs] = [resource.id, { ...resource.outputs }];
      await until("a successor is running", async () => (await observer.refresh()).worker.state === "running");
      for (const attempts of [1, 2, 3, 4]) {
        await starting.untilAsked(attempts);
        const { currentSubState } = (await observer.refresh()).currentSubStateDetails;
        assert.notEqual(currentSubState, "WaitingForCutoverTrigger");
      }
    } finally {
      await starting.stop();
      await lab.source.resume();
      await update;
    }
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    await resource.destroy();
  });

  it("suffice for the cutovers of all databases at once if there is one more than databases", async () => {
    const databases = [await lab.database(table), await lab.database(table), await lab.database(table)];
    const resource = await lab.follow(databases);
    for (const database of databases) await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("are awaited by databases that find none free, until other databases are cut over", async () => {
    const databases = [await lab.database(table), await lab.database(table), await lab.database(table)];
    // Two slots remain: one for a stream, one for comparisons.
    for (const name of ["a_replica", "another"])
      await lab.source.query(`SELECT pg_create_physical_replication_slot('${name}')`);
    const resource = new Resource();
    const detailsOf = (name: string) => resource.status.currentSubStateDetails.dbDetails[name]!;
    const waiting = (): string[] => databases.filter((name) => detailsOf(name).migrationState === "InProgress");
    await resource.create(lab.onlineInputs(databases));
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    const finding = /2 of 4 replication slots are free[^}]*4 are needed[^}]*2 of them will wait/;
    assertFinding(resource.status, finding);
    const late = waiting();
    assert.equal(late.length, 2);
    for (const name of late) {
      assert.match(detailsOf(name).message!, /waiting for a free replication slot of the source: 3 of 4 are taken/);
      assert.match(detailsOf(name).message!, /To do: .*ALTER SYSTEM SET max_replication_slots = 5/);
    }
    for (const database of databases) await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    const dbsToTriggerCutoverOn = databases.filter((name) => !late.includes(name));
    await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn });
    await until("the next database is replicated", async () => {
      await resource.refresh();
      return waiting().length === 1;
    });
    await lab.source.query("SELECT pg_drop_replication_slot('another')");
    await until("all databases are replicated", async () => {
      await resource.refresh();
      return waiting().length === 0;
    });
    assert.equal((await resource.update({ dbsToTriggerCutoverOn: databases })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await lab.source.query("SELECT pg_drop_replication_slot('a_replica')");
    await resource.destroy();
  });
});
