import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("a migration of several databases", () => {
  let lab: Lab;
  let databases: [string, string];

  before(async () => {
    // As many slots as the rollback replications of two databases need.
    lab = await Lab.start({ target: { parameters: { max_replication_slots: 3 } } });
  });

  beforeEach(async () => {
    databases = [await lab.database(table), await lab.database(table)];
  });

  after(() => lab.stop());

  const slots = async (): Promise<number> =>
    (await lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary")).length;

  const statesOf = (resource: Resource): string[] =>
    databases.map((name) => resource.status.currentSubStateDetails.dbDetails[name]!.migrationState);

  it("cuts over one database while the others keep replicating", async () => {
    const [first, second] = databases;
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online" }));
    const partly = await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [first] });
    assert.deepEqual(statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"]);
    assert.equal(partly.state, "WaitingForUserAction");
    assert.equal(await slots(), 1, "the first one's slot is gone");
    process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    assert.deepEqual(statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"], "by the successor");
    await lab.source.query("INSERT INTO t VALUES (1000)", { database: second });
    assert.equal((await resource.update({ dbsToTriggerCutoverOn: [] })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("cancels one database while the others continue", async () => {
    const [first, second] = databases;
    await lab.source.query("CREATE TABLE keyless (a int)", { database: first });
    const resource = new Resource();
    const { worker } = await resource.create(lab.inputs(databases, { migrationMode: "Online", keylessTables: "full" }));
    const obstacle = await lab.source.connect(first);
    await obstacle.query("BEGIN; LOCK TABLE keyless IN ROW EXCLUSIVE MODE");
    const canceling = resource.update({ cancel: "True", dbsToCancelMigrationOn: [first] });
    const waiting = "FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    await until("the clean-up waits for the lock, and loses its connection", async () => {
      const ended = await lab.source.query(`SELECT pg_terminate_backend(pid) ${waiting}`, { values: [first] });
      return ended.length > 0;
    });
    await obstacle.end();
    const partly = await canceling;
    assert.equal(partly.worker.pid, worker.pid);
    assert.deepEqual(statesOf(resource), ["Canceled", "WaitingForCutoverTrigger"]);
    assert.equal(partly.state, "WaitingForUserAction");
    assert.equal(await slots(), 1, "the canceled one's slot is gone");
    assert((await lab.targetDatabases()).includes(first), "nothing on the target is dropped");
    await lab.source.query("INSERT INTO t VALUES (1000)", { database: first });
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [] });
    assert.deepEqual(
      statesOf(resource),
      ["WaitingForCutoverTrigger", "WaitingForCutoverTrigger"],
      "the copy is restarted",
    );
    assert.equal((await lab.target.query("SELECT FROM t WHERE id = 1000", { database: first })).length, 1);
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [first] });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(statesOf(resource), ["Canceled", "Succeeded"]);
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [] });
    assert.deepEqual(statesOf(resource), ["Canceled", "Succeeded"], "after removing the list from the program");
    await assertSameContent({ server: lab.source, database: second }, { server: lab.target, database: second });
    await resource.destroy();
  });

  it("keeps replicating the others when one database fails, and retries the failed one at each update", async () => {
    const [first, second] = databases;
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online" }));
    const [slot] = await lab.source.query<{ name: string; pid: number }>(
      "SELECT slot_name AS name, active_pid AS pid FROM pg_replication_slots WHERE NOT temporary AND database = $1",
      { values: [first] },
    );
    process.kill(resource.status.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await lab.source.query("SELECT pg_terminate_backend($1)", { values: [slot!.pid] });
    await until("the slot is free", async () => {
      const [{ active } = { active: true }] = await lab.source.query<{ active: boolean }>(
        "SELECT active FROM pg_replication_slots WHERE slot_name = $1",
        { values: [slot!.name] },
      );
      return !active;
    });
    await lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot!.name] });
    // A slot of the same name that another session created: it does not hold the changes since the copy.
    await lab.source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", {
      database: first,
      values: [slot!.name],
    });
    const text = await Resource.failure(resource.update({}));
    assert.match(text, new RegExp(`WaitingForUserAction: ${first}: .*slot.*To do: `, "s"));
    assert.deepEqual(statesOf(resource), ["Failed", "WaitingForCutoverTrigger"]);
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    await lab.source.query("INSERT INTO t VALUES (1000)", { database: second });
    await until("the other database is replicating", async () => {
      return (await lab.target.query("SELECT FROM t WHERE id = 1000", { database: second })).length === 1;
    });
    assert.match(resource.reported.join("\n"), new RegExp(`: ${second}: [^;]*; failed: ${first}$`, "m"));
    assert.equal((await resource.diff()).changes, true, "the next up tries again");
    const cutover = resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [second] });
    assert.match(await Resource.failure(cutover), new RegExp(`Failed: ${first}: .*slot`));
    assert.deepEqual(statesOf(resource), ["Failed", "Succeeded"]);
    const ended = await resource.update({ cancel: true, dbsToCancelMigrationOn: [first] });
    assert.deepEqual([ended.state, ended.error], ["Succeeded", undefined]);
    assert.deepEqual(statesOf(resource), ["Canceled", "Succeeded"]);
    await assertSameContent({ server: lab.source, database: second }, { server: lab.target, database: second });
    await resource.destroy();
  });

  it("reports the error of one database while another is still being copied", async () => {
    const [first] = databases;
    // Copying its rows takes minutes.
    const slow = await lab.database(
      `CREATE TABLE slow AS SELECT generate_series(1, 20000) AS id; ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    databases = [first, slow];
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online", waitFor: "started" }));
    const hasCome = async (state: string): Promise<boolean> => {
      await resource.refresh();
      return statesOf(resource)[0] === state;
    };
    await until("the first database is replicating", () => hasCome("WaitingForCutoverTrigger"));
    await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(first));
    await lab.source.query("UPDATE t SET id = 700 WHERE id = 7", { database: first });
    await until("the first database has failed", () => hasCome("Failed"));
    assert.deepEqual([resource.status.state, ...statesOf(resource)], ["InProgress", "Failed", "InProgress"]);
    assert.equal((await resource.update({ cancel: true, waitFor: undefined })).state, "Canceled");
    assert.deepEqual(statesOf(resource), ["Canceled", "Canceled"]);
    await resource.destroy();
  });
  it("keeps rollback replications one after another if the target has only one free slot", async () => {
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online", rollback: "keep" }));
    for (const cutOver of [databases.slice(0, 1), databases])
      await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: cutOver });
    assert.deepEqual(statesOf(resource), ["Succeeded", "Succeeded"]);
    assert.equal((await resource.update({ rollback: "drop" })).state, "Succeeded");
    await resource.destroy();
  });

  it("stays canceled as a whole, and restarts when the cancellation is withdrawn", async () => {
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online" }));
    const canceled = await resource.update({ cancel: true });
    assert.equal(canceled.state, "Canceled");
    assert.deepEqual(statesOf(resource), ["Canceled", "Canceled"]);
    assert.equal(await slots(), 0);
    assert.equal((await resource.diff()).changes, false, "another up changes nothing");
    assert.match(
      (await resource.failures({ ...resource.inputs, cancel: false, triggerCutover: true })).join(),
      /603113/,
    );
    assert.equal((await resource.update({ cancel: false })).state, "WaitingForUserAction");
    await resource.destroy();
  });
  it("copies one database while the other is canceled during its copy", async () => {
    const [first, second] = databases;
    const obstacle = await lab.source.connect(first);
    const resource = new Resource();
    try {
      await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      await resource.create(lab.inputs(databases, { waitFor: "started" }));
      const status = await resource.update({ cancel: true, dbsToCancelMigrationOn: [first], waitFor: "succeeded" });
      assert.equal(status.state, "Succeeded");
      assert.deepEqual(statesOf(resource), ["Canceled", "Succeeded"]);
    } finally {
      await obstacle.end();
    }
    await assertSameContent({ server: lab.source, database: second }, { server: lab.target, database: second });
    await resource.destroy();
  });
});
