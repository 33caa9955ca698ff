import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { inputsFromArmBody } from "../../provider/dist/inputs/arm-body.js";
import { unknownValue } from "../../provider/dist/inputs/unknown-value.js";
import { assertSameContent } from "../support/content";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { TwoDatabases } from "./two-databases";

describe("a migration of several databases", () => {
  const scene = new TwoDatabases();

  it("cuts over one database while the others keep replicating", async () => {
    const [first, second] = scene.names;
    const resource = new Resource();
    await resource.create(scene.lab.inputs(scene.names, { migrationMode: "Online" }));
    const partly = await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [first] });
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"]);
    assert.equal(partly.state, "WaitingForUserAction");
    assert.equal(await scene.slots(), 1, "the first one's slot is dropped");
    process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    assert.deepEqual(scene.statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"], "by the successor");
    await scene.lab.source.query("INSERT INTO t VALUES (1000)", { database: second });
    assert.equal((await resource.update({ dbsToTriggerCutoverOn: [] })).state, "Succeeded");
    for (const database of scene.names)
      await assertSameContent({ server: scene.lab.source, database }, { server: scene.lab.target, database });
    await resource.destroy();
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
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [] });
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

  it("resolves its patterns when it is created, if the preview could not read the source", async () => {
    const patterns = scene.names.map((name) => `${name}*`);
    const inputs = scene.lab.inputs(patterns, { migrationOption: "Validate" });
    assert.deepEqual(inputsFromArmBody({ properties: { dbsToMigrate: patterns } }), { dbsToMigrate: patterns });
    const unreachable = new Resource();
    const { login } = scene.lab.source;
    const checked = await unreachable.checked({ ...inputs, source: { ...login, port: 1, sslMode: "Disable" } });
    assert.deepEqual(checked.dbsToMigrate, patterns);
    assert.match(unreachable.notes.join(), /^the databases that dbsToMigrate selects are not known: .*ECONNREFUSED/);
    const unknown = new Resource();
    await unknown.checked({ ...inputs, source: { ...login, host: unknownValue } });
    assert.match(unknown.notes.join(), /^dbsToMigrate has patterns: this preview does not know the source yet/);
    const unresolved = { ...checked, source: inputs.source };
    const { outs } = await lifecycle.create(
      unresolved,
      () => undefined,
      () => undefined,
    );
    assert.deepEqual(outs.dbsToMigrate, scene.names);
    assert.equal((await lifecycle.diff("", outs, unresolved)).changes, false);
    const again = await lifecycle.check(unresolved, inputs);
    assert.deepEqual(again.inputs.dbsToMigrate, scene.names);
    await lifecycle.remove(outs);
  });

  it("is refused if a pattern matches nothing, with the databases of the source", async () => {
    const [first, second] = scene.names;
    const failures = (...list: string[]) => new Resource().failures(scene.lab.inputs(list));
    const [unmatched, ...others] = await failures("nothing_*", first);
    assert.match(unmatched!, new RegExp(`^dbsToMigrate: nothing_\\* matches no database of .*${first}`));
    assert.doesNotMatch(unmatched!, /postgres|template/);
    assert.deepEqual(others, []);
    assert.match((await failures(`${first}*`, `!${first}`)).join(), /leaves no database of .*; its databases are /);
    assert.deepEqual(await failures("*", `!${second}`, "!nothing"), []);
    assert.match((await failures("!a")).join(), /^dbsToMigrate: !a only excludes/);
  });

  it("lists the databases in any database that its role may open", async () => {
    const [first, second] = scene.names;
    const { source } = scene.lab;
    await source.query(`CREATE ROLE closed_out LOGIN PASSWORD 'secret';
      REVOKE CONNECT ON DATABASE postgres FROM public; REVOKE CONNECT ON DATABASE template1 FROM public`);
    try {
      const login = { ...source.login, user: "closed_out", password: "secret", sslMode: "Disable" };
      const resource = new Resource();
      const { dbsToMigrate } = await resource.checked(scene.lab.inputs([`${second}*`, first], { source: login }));
      assert.deepEqual(dbsToMigrate, [second, first]);
      const refused = new Resource();
      await refused.checked(scene.lab.inputs([`${second}*`], { source: login }));
      assert.match(refused.notes.join(), /not known: no database of .* accepts this role: .*may not connect/);
      assert.match(refused.notes.join(), /To do: add the name of a database to dbsToMigrate that closed_out may open/);
    } finally {
      await source.query("GRANT CONNECT ON DATABASE postgres TO public; GRANT CONNECT ON DATABASE template1 TO public");
    }
  });
});
