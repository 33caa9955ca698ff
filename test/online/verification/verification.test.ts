import assert from "node:assert/strict";
import type { MigrationStatus } from "../../../provider/src/status";
import { CommandLine } from "../../cli/command";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { verificationOf } from "./verification-of";

describe("online verification", () => {
  let lab: Lab;
  let command: CommandLine;

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  /**
   * Delays the write of the spec, and checks that no request is visible before it. Otherwise the worker would run a
   * requested cutover with the previous spec.
   */
  async function withDelayedSpec(ask: () => Promise<string>): Promise<string> {
    const obstacle = await lab.target.connect();
    try {
      await obstacle.query("BEGIN; SELECT FROM pgmigration.migration FOR NO KEY UPDATE");
      const answer = ask();
      await until("the spec waits to be written", async () => {
        const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '% update%'`;
        return (await lab.target.query(waiting)).length > 0;
      });
      assert.deepEqual(await lab.target.query("SELECT kind FROM pgmigration.request"), []);
      await obstacle.query("COMMIT");
      return await answer;
    } finally {
      await obstacle.end();
    }
  }

  it("names the different rows while replication continues, and reports equality after they are corrected", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i;
      CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT i % 10, 'twin' FROM generate_series(1, 100) i;
      CREATE TABLE untouched (id int PRIMARY KEY)`);
    const resource = await lab.follow([database], { keylessTables: "full" });
    await lab.target.query(
      `UPDATE t SET v = 'another' WHERE id = 417; DELETE FROM t WHERE id = 1000; INSERT INTO t VALUES (-5, 'foreign');
       INSERT INTO keyless VALUES (3, 'twin')`,
      lab.onTarget(database),
    );
    const found = verificationOf(await resource.update({ verifyNow: "one" }), database);
    assert.equal(found.state, "different");
    assert.equal(found.tablesDifferent, 2);
    const byTable = new Map(found.differences!.map((one) => [one.table, one]));
    assert.deepEqual(byTable.get('"public"."t"')!.firstDifferences, [
      { key: "id = -5", kind: "unexpected" },
      { key: "id = 417", kind: "different" },
      { key: "id = 1000", kind: "missing" },
    ]);
    const keyless = byTable.get('"public"."keyless"')!;
    assert.deepEqual([keyless.sourceRows, keyless.targetRows], [100, 101]);
    assert.deepEqual(keyless.firstDifferences, [{ key: "(3,twin)", kind: "unexpected" }]);
    assert.equal(resource.status.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");

    const asked = () => Resource.failure(resource.update({ verifyBeforeCutover: true, triggerCutover: true }));
    const text = await withDelayedSpec(asked);
    assert.match(text, /not cut over.*417/s);
    assert.equal(resource.status.state, "Failed");
    assert.deepEqual(resource.status.cutoverTimeline, [], "no step of the cutover ran");
    const slots = await lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal(slots.length, 1);

    await lab.target.query(
      `UPDATE t SET v = md5('417') WHERE id = 417; DELETE FROM t WHERE id = -5; INSERT INTO t VALUES (1000, md5('1000'));
       DELETE FROM keyless WHERE ctid = (SELECT max(ctid) FROM keyless WHERE a = 3)`,
      lab.onTarget(database),
    );
    const done = await resource.update({});
    assert.equal(done.state, "Succeeded");
    const { requestedBy, answers, state } = verificationOf(done, database);
    assert.deepEqual([requestedBy, answers, state], ["beforeCutover", "one", "equal"]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("does not stop the stream while it waits for a long transaction of the source", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const long = await lab.source.connect(database);
    let asked: Promise<MigrationStatus> | undefined;
    try {
      await long.query("BEGIN; INSERT INTO t VALUES (-1)");
      asked = resource.update({ verifyNow: "long" });
      await until("the verification waits for the transaction", async () => {
        const waiting = await lab.source.query("SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted");
        return waiting.length > 0;
      });
      await lab.source.query("INSERT INTO t VALUES (1)", { database });
      await until("the row committed meanwhile is applied", async () => {
        return (await lab.target.query("SELECT FROM t WHERE id = 1", lab.onTarget(database))).length === 1;
      });
      await long.query("COMMIT");
    } finally {
      await long.end();
    }
    assert.equal(verificationOf(await asked, database).state, "equal");
    await resource.destroy();
  });

  it("fails with a remedy if the source has no free slot, and replication continues", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const take = `SELECT pg_create_physical_replication_slot('taken_' || i)
                    FROM generate_series(1, current_setting('max_replication_slots')::int - 1) i`;
    await lab.source.query(take);
    try {
      const found = verificationOf(await resource.update({ verifyNow: "full" }), database);
      assert.equal(found.state, "failed");
      assert.match(
        found.message!,
        /To do: drop unused slots.*, or add one slot for each database, and one for comparisons: .*max_replication_slots/,
      );
      await lab.source.query("INSERT INTO t VALUES (1)", { database });
      await until("the stream continues", async () => {
        return (await lab.target.query("SELECT FROM t", lab.onTarget(database))).length === 1;
      });
    } finally {
      await lab.source.query(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^taken'",
      );
    }
    const answer = await command.run(["verify", "--online", "--name", String(resource.inputs.migrationName)]);
    assert.equal(answer.code, 0, answer.stderr);
    assert.match(answer.stdout, new RegExp(`${database}\\s+equal`));
    await resource.destroy();
  });

  it("that a newer request replaced before it started ends the operations that wait for it", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    const { worker } = await resource.create(lab.onlineInputs([database]));
    const other = new Resource();
    Object.assign(other, { id: resource.id, outputs: resource.outputs, inputs: resource.inputs });
    const asked = (name: string): Promise<void> =>
      until(`${name} is requested`, async () => {
        const spec = `SELECT FROM pgmigration.migration WHERE spec ->> 'verifyNow' ~ '^${name}'`;
        return (await lab.target.query(spec)).length === 1;
      });
    process.kill(worker.pid!, "SIGSTOP");
    let last: Promise<MigrationStatus>;
    try {
      const first = command.run(["verify", "--online", "--name", String(resource.inputs.migrationName)]);
      await asked("command");
      const second = Resource.failure(resource.update({ verifyNow: "second" }));
      await asked("second");
      assert.match((await first).stderr, /the verification command .* was not run: the request second replaced it/);
      last = other.update({ verifyNow: "last" });
      last.catch(() => undefined);
      assert.match(await second, /the verification second was not run: the request last replaced it/);
    } finally {
      process.kill(worker.pid!, "SIGCONT");
    }
    assert.equal(verificationOf(await last, database).requestedBy, "last");
    await resource.destroy();
  });
});
