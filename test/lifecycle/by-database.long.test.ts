import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { TwoDatabases } from "./two-databases";
import { CommandLine } from "../cli/command";
import { Traffic } from "../support/traffic";

describe("a migration of several databases", () => {
  const scene = new TwoDatabases();

  it("continues with the same worker when one database fails: the others are verified and cut over, the failed one later", async () => {
    const [first, second] = scene.names;
    await scene.lab.source.query(Traffic.schema, { database: second });
    const resource = new Resource();
    const { worker } = await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online" }));
    const command = await CommandLine.in(scene.lab);
    const ask = (name: string, ...options: string[]) =>
      command.run([name, ...options, "--name", String(resource.inputs.migrationName)]);
    const traffic = Traffic.start(scene.lab.source, second, 2);
    try {
      await scene.lab.target.query("DELETE FROM t WHERE id = 7", scene.lab.onTarget(first));
      await scene.lab.source.query("UPDATE t SET id = 700 WHERE id = 7", { database: first });
      await until("the database has failed", async () => {
        await resource.refresh();
        return resource.status.error !== undefined;
      });
      assert.deepEqual(scene.statesOf(resource), ["Failed", "WaitingForCutoverTrigger"]);
      const details = resource.status.currentSubStateDetails.dbDetails[first]!;
      assert.match(details.message!, /"public"\."t".*0 of 1 rows.*To do: /s);
      assert.equal(resource.status.error, `${first}: ${details.message}`);
      const shown = await ask("show", "--output", "table");
      assert.match(shown.stdout, new RegExp(`WaitingForUserAction.*${first} +Failed.*\n${first}: `, "s"));
      await traffic.forTransactions(100);
      const verified = await ask("verify", "--online");
      assert.match(verified.stdout, new RegExp(`${second}\\s+equal`), verified.stderr);
    } finally {
      await traffic.stop();
    }
    const { code, stderr } = await ask("update", "--cutover", "--wait");
    assert.equal(code, 1, stderr);
    assert.equal((await resource.refresh()).worker.pid, worker.pid);
    assert.deepEqual([resource.status.state, ...scene.statesOf(resource)], ["Failed", "Failed", "Succeeded"]);
    await command.close();
    await scene.lab.target.query("INSERT INTO t VALUES (7)", scene.lab.onTarget(first));
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    for (const database of scene.names)
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
    await resource.destroy();
  });

  it("keeps a rollback replication per database across kills, and returns one database while the other replicates", async () => {
    const [first, second] = scene.names;
    const onTarget = { login: scene.lab.administrator };
    const resource = new Resource();
    await resource.create(
      scene.lab.inputs(scene.names, { migrationMode: "Online", rollback: "keep", fence: "readOnly" }),
    );
    const partly = await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [first] });
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"]);
    assert.equal(partly.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    process.kill(partly.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    await scene.lab.target.query("INSERT INTO t VALUES (500)", { database: first, ...onTarget });
    await scene.lab.source.query("INSERT INTO t VALUES (600)", { database: second });
    assert.match(
      (await resource.failures({ ...resource.inputs, cancel: true, dbsToCancelMigrationOn: [first] })).join(),
      /^cancel: .*has been cut over/,
    );
    const returned = await resource.update({ rollback: "return" });
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "WaitingForCutoverTrigger"]);
    assert.equal(returned.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    assert.equal((await scene.lab.source.query("SELECT FROM t WHERE id = 500", { database: first })).length, 1);
    await scene.lab.source.query("INSERT INTO t VALUES (501)", { database: first });
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [second] });
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Canceled"]);
    await scene.lab.source.query("INSERT INTO t VALUES (601)", { database: second });
    await resource.destroy();
  });

  it("can be canceled after a failure and while the source is unreachable; the next up completes the clean-up", async () => {
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online", reconnectFor: "3s" }));
    for (const database of scene.names) {
      await scene.lab.target.query("DELETE FROM t", { database });
      await scene.lab.source.query("DELETE FROM t", { database });
    }
    await until("changes are refused", async () => (await resource.refresh()).state === "Failed");
    assert.equal(await scene.slots(), 2);
    await scene.lab.source.halt();
    const text = await Resource.failure(resource.update({ cancel: true }));
    await scene.lab.source.resume();
    for (const database of scene.names)
      assert(text.includes(`on the source, in ${database}: SELECT pg_drop_replication_slot`), text);
    assert.match(text, /pulumi up/);
    assert.equal(resource.status.state, "Failed");
    assert.equal(await scene.slots(), 2);
    assert.equal((await resource.update({})).state, "Canceled");
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Canceled"]);
    assert.equal(await scene.slots(), 0);
    await resource.destroy();
  });

  it("reports the error of one database while another is still being copied", async () => {
    const [first] = scene.names;
    // Copying its rows takes minutes.
    const slow = await scene.lab.database(
      `CREATE TABLE slow AS SELECT generate_series(1, 20000) AS id; ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    scene.names = [first, slow];
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online", waitFor: "started" }));
    const hasCome = async (state: string): Promise<boolean> => {
      await resource.refresh();
      return scene.statesOf(resource)[0] === state;
    };
    await until("the first database is replicating", () => hasCome("WaitingForCutoverTrigger"));
    await scene.lab.target.query("DELETE FROM t WHERE id = 7", scene.lab.onTarget(first));
    await scene.lab.source.query("UPDATE t SET id = 700 WHERE id = 7", { database: first });
    await until("the first database has failed", () => hasCome("Failed"));
    assert.deepEqual([resource.status.state, ...scene.statesOf(resource)], ["InProgress", "Failed", "InProgress"]);
    assert.equal((await resource.update({ cancel: true, waitFor: undefined })).state, "Canceled");
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Canceled"]);
    await resource.destroy();
  });

  it("keeps rollback replications one after another if the target has only one free slot", async () => {
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online", rollback: "keep" }));
    for (const cutOver of [scene.names.slice(0, 1), scene.names])
      await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: cutOver });
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "Succeeded"]);
    assert.equal((await resource.update({ rollback: "drop" })).state, "Succeeded");
    await resource.destroy();
  });

  it("keeps the databases that its patterns selected first, and reports those that match later", async () => {
    const [first, second] = scene.names;
    const [later, all] = [`${first}_later`, [first, second, `${first}_later`]];
    const inputs = scene.lab.inputs([`${first}*`, `${second}*`], { migrationMode: "Online" });
    const resource = new Resource();
    await resource.create(inputs);
    const selects = new RegExp(`^dbsToMigrate ${first}\\*, ${second}\\* selects on .*: ${first}, ${second}$`, "m");
    assert.match(resource.notes.join("\n"), selects);
    assert.deepEqual(scene.statesOf(resource), ["WaitingForCutoverTrigger", "WaitingForCutoverTrigger"]);
    await scene.lab.source.query(`CREATE DATABASE ${later}`);
    assert.equal((await resource.diff()).changes, false);
    assert.match(resource.notes.join("\n"), new RegExp(`now also selects ${later} on .*\\. To do: add the name`));
    const databases = (): string[] => Object.keys(resource.status.currentSubStateDetails.dbDetails).sort();
    await resource.update({ tags: { a: "b" } });
    assert.deepEqual(databases(), [...scene.names].sort());
    const lost = await new Resource().checked(inputs);
    assert.deepEqual(lost.dbsToMigrate, scene.names, "from the record, without a state");
    const renamed = await new Resource().checked({ ...inputs, migrationName: "another" });
    assert.deepEqual(renamed.dbsToMigrate, [first, later, second], "of another migration");
    await resource.update({ dbsToMigrate: [`${first}*`, second] });
    assert.deepEqual(databases(), [...all].sort());
    await resource.destroy();
  });

  it("stays canceled as a whole, and restarts when the cancellation is withdrawn", async () => {
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online" }));
    const canceled = await resource.update({ cancel: true });
    assert.equal(canceled.state, "Canceled");
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Canceled"]);
    assert.equal(await scene.slots(), 0);
    assert.equal((await resource.diff()).changes, false, "another up changes nothing");
    assert.match(
      (await resource.failures({ ...resource.inputs, cancel: false, triggerCutover: true })).join(),
      /603113/,
    );
    const restarted = await resource.update({ cancel: false, overwriteDbsInTarget: true });
    assert.equal(restarted.state, "WaitingForUserAction");
    await resource.destroy();
  });

  it("copies one database while the other is canceled during its copy", async () => {
    const [first, second] = scene.names;
    const obstacle = await scene.lab.source.connect(first);
    const resource = new Resource();
    try {
      await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      await resource.create(scene.lab.inputs(scene.names, { waitFor: "started" }));
      const status = await resource.update({ cancel: true, dbsToCancelMigrationOn: [first], waitFor: "succeeded" });
      assert.equal(status.state, "Succeeded");
      assert.deepEqual(scene.statesOf(resource), ["Canceled", "Succeeded"]);
    } finally {
      await obstacle.end();
    }
    await assertSameContent(
      { server: scene.lab.source, database: second },
      { server: scene.lab.target, database: second },
    );
    await resource.destroy();
  });

  it("cancels a failed database while another is still copied, by the same worker", async () => {
    const [first, second] = scene.names;
    // The copy of the second database takes half a minute, because the target checks each row slowly.
    await scene.lab.source.query(
      `CREATE TABLE slow (id int PRIMARY KEY); INSERT INTO slow SELECT generate_series(1, 60);
       ALTER TABLE slow ADD CHECK (pg_sleep(0.5) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
      { database: second },
    );
    const command = await CommandLine.in(scene.lab);
    const resource = new Resource();
    try {
      const inputs = scene.lab.inputs(scene.names, { migrationMode: "Online", waitFor: "started" });
      const { worker } = await resource.create(inputs);
      const state = async (): Promise<string | undefined> => {
        await resource.refresh();
        return resource.status.currentSubStateDetails.dbDetails[first]?.migrationState;
      };
      const isFollowed = async (): Promise<boolean> =>
        (await resource.refresh()).currentSubStateDetails.dbDetails[first]?.migrationOperation === "following";
      await until("the first database is followed", isFollowed);
      await scene.lab.target.query("DELETE FROM t WHERE id = 7", scene.lab.onTarget(first));
      await scene.lab.source.query("UPDATE t SET id = 700 WHERE id = 7", { database: first });
      await until("the first database has failed", async () => (await state()) === "Failed");
      // An update of the resource would start another worker, which tries the failed database again.
      const name = String(resource.inputs.migrationName);
      const canceling = await command.run(["update", "--name", name, "--cancel", first]);
      assert.equal(canceling.code, 0, canceling.stderr);
      await until("its slot is dropped", async () => (await state()) === "Canceled");
      await until("the other waits for its cutover", async () => {
        await resource.refresh();
        return resource.status.state === "WaitingForUserAction";
      });
      assert.deepEqual(scene.statesOf(resource), ["Canceled", "WaitingForCutoverTrigger"]);
      assert.equal(resource.status.worker.pid, worker.pid);
    } finally {
      await command.close();
      await resource.destroy();
    }
  });

  it("cancels one database while the others continue", async () => {
    const [first, second] = scene.names;
    await scene.lab.source.query("CREATE TABLE keyless (a int)", { database: first });
    const resource = new Resource();
    const { worker } = await resource.create(
      scene.lab.inputs(scene.names, { migrationMode: "Online", keylessTables: "full" }),
    );
    const obstacle = await scene.lab.source.connect(first);
    await obstacle.query("BEGIN; LOCK TABLE keyless IN ROW EXCLUSIVE MODE");
    const canceling = resource.update({ cancel: "True", dbsToCancelMigrationOn: [first] });
    const waiting = "FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    await until("the clean-up waits for the lock, and loses its connection", async () => {
      const ended = await scene.lab.source.query(`SELECT pg_terminate_backend(pid) ${waiting}`, { values: [first] });
      return ended.length > 0;
    });
    await obstacle.end();
    const partly = await canceling;
    assert.equal(partly.worker.pid, worker.pid);
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "WaitingForCutoverTrigger"]);
    assert.equal(partly.state, "WaitingForUserAction");
    assert.equal(await scene.slots(), 1, "the canceled one's slot is dropped");
    assert((await scene.lab.targetDatabases()).includes(first), "nothing on the target is dropped");
    await scene.lab.source.query("INSERT INTO t VALUES (1000)", { database: first });
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [], overwriteDbsInTarget: true });
    assert.deepEqual(
      scene.statesOf(resource),
      ["WaitingForCutoverTrigger", "WaitingForCutoverTrigger"],
      "the copy is restarted",
    );
    assert.equal((await scene.lab.target.query("SELECT FROM t WHERE id = 1000", { database: first })).length, 1);
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [first] });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Succeeded"]);
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [] });
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Succeeded"], "after removing the list from the program");
    await assertSameContent(
      { server: scene.lab.source, database: second },
      { server: scene.lab.target, database: second },
    );
    await resource.destroy();
  });

  it("keeps replicating the others when one database fails, and retries the failed one at each update", async () => {
    const [first, second] = scene.names;
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online" }));
    const [slot] = await scene.lab.source.query<{ name: string; pid: number }>(
      "SELECT slot_name AS name, active_pid AS pid FROM pg_replication_slots WHERE NOT temporary AND database = $1",
      { values: [first] },
    );
    process.kill(resource.status.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await scene.lab.source.query("SELECT pg_terminate_backend($1)", { values: [slot!.pid] });
    await until("the slot is free", async () => {
      const [{ active } = { active: true }] = await scene.lab.source.query<{ active: boolean }>(
        "SELECT active FROM pg_replication_slots WHERE slot_name = $1",
        { values: [slot!.name] },
      );
      return !active;
    });
    await scene.lab.source.query("SELECT pg_drop_replication_slot($1)", { values: [slot!.name] });
    // A slot of the same name that another session created: it does not hold the changes since the copy.
    await scene.lab.source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", {
      database: first,
      values: [slot!.name],
    });
    const text = await Resource.failure(resource.update({}));
    assert.match(text, new RegExp(`WaitingForUserAction: ${first}: .*slot.*To do: `, "s"));
    assert.deepEqual(scene.statesOf(resource), ["Failed", "WaitingForCutoverTrigger"]);
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    await scene.lab.source.query("INSERT INTO t VALUES (1000)", { database: second });
    await until("the other database is replicating", async () => {
      return (await scene.lab.target.query("SELECT FROM t WHERE id = 1000", { database: second })).length === 1;
    });
    assert.match(resource.reported.join("\n"), new RegExp(`: ${second}: [^;]*; failed: ${first}$`, "m"));
    assert.equal((await resource.diff()).changes, true, "the next up tries again");
    const cutover = resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [second] });
    assert.match(await Resource.failure(cutover), new RegExp(`Failed: ${first}: .*slot`));
    assert.deepEqual(scene.statesOf(resource), ["Failed", "Succeeded"]);
    const ended = await resource.update({ cancel: true, dbsToCancelMigrationOn: [first] });
    assert.deepEqual([ended.state, ended.error], ["Succeeded", undefined]);
    assert.deepEqual(scene.statesOf(resource), ["Canceled", "Succeeded"]);
    await assertSameContent(
      { server: scene.lab.source, database: second },
      { server: scene.lab.target, database: second },
    );
    await resource.destroy();
  });
});
