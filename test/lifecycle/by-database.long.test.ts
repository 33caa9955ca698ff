import assert from "node:assert/strict";
import { CommandLine } from "../cli/command";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("a migration of several databases, one of which fails or loses its worker", () => {
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
  it("continues with the same worker when one database fails: the others are verified and cut over, the failed one later", async () => {
    const [first, second] = databases;
    await lab.source.query(Traffic.schema, { database: second });
    const resource = new Resource();
    const { worker } = await resource.create(lab.inputs(databases, { migrationMode: "Online" }));
    const command = await CommandLine.in(lab);
    const ask = (name: string, ...options: string[]) =>
      command.run([name, ...options, "--name", String(resource.inputs.migrationName)]);
    const traffic = Traffic.start(lab.source, second, 2);
    try {
      await lab.target.query("DELETE FROM t WHERE id = 7", lab.onTarget(first));
      await lab.source.query("UPDATE t SET id = 700 WHERE id = 7", { database: first });
      await until("the database has failed", async () => {
        await resource.refresh();
        return resource.status.error !== undefined;
      });
      assert.deepEqual(statesOf(resource), ["Failed", "WaitingForCutoverTrigger"]);
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
    assert.deepEqual([resource.status.state, ...statesOf(resource)], ["Failed", "Failed", "Succeeded"]);
    await command.close();
    await lab.target.query("INSERT INTO t VALUES (7)", lab.onTarget(first));
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
  });

  it("keeps a rollback replication per database across kills, and returns one database while the other replicates", async () => {
    const [first, second] = databases;
    const onTarget = { login: lab.administrator };
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online", rollback: "keep", fence: "readOnly" }));
    const partly = await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [first] });
    assert.deepEqual(statesOf(resource), ["Succeeded", "WaitingForCutoverTrigger"]);
    assert.equal(partly.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    process.kill(partly.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    await resource.update({});
    await lab.target.query("INSERT INTO t VALUES (500)", { database: first, ...onTarget });
    await lab.source.query("INSERT INTO t VALUES (600)", { database: second });
    assert.match(
      (await resource.failures({ ...resource.inputs, cancel: true, dbsToCancelMigrationOn: [first] })).join(),
      /^cancel: .*has been cut over/,
    );
    const returned = await resource.update({ rollback: "return" });
    assert.deepEqual(statesOf(resource), ["Canceled", "WaitingForCutoverTrigger"]);
    assert.equal(returned.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    assert.equal((await lab.source.query("SELECT FROM t WHERE id = 500", { database: first })).length, 1);
    await lab.source.query("INSERT INTO t VALUES (501)", { database: first });
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [second] });
    assert.deepEqual(statesOf(resource), ["Canceled", "Canceled"]);
    await lab.source.query("INSERT INTO t VALUES (601)", { database: second });
    await resource.destroy();
  });
  it("can be canceled after a failure and while the source is unreachable; the next up completes the clean-up", async () => {
    const resource = new Resource();
    await resource.create(lab.inputs(databases, { migrationMode: "Online", reconnectFor: "3s" }));
    for (const database of databases) {
      await lab.target.query("DELETE FROM t", { database });
      await lab.source.query("DELETE FROM t", { database });
    }
    await until("changes are refused", async () => (await resource.refresh()).state === "Failed");
    assert.equal(await slots(), 2);
    await lab.source.halt();
    const text = await Resource.failure(resource.update({ cancel: true }));
    await lab.source.resume();
    for (const database of databases)
      assert(text.includes(`on the source, in ${database}: SELECT pg_drop_replication_slot`), text);
    assert.match(text, /pulumi up/);
    assert.equal(resource.status.state, "Failed");
    assert.equal(await slots(), 2);
    assert.equal((await resource.update({})).state, "Canceled");
    assert.deepEqual(statesOf(resource), ["Canceled", "Canceled"]);
    assert.equal(await slots(), 0);
    await resource.destroy();
  });
});
