import assert from "node:assert/strict";
import { parseLsn } from "../../provider/src/postgres/lsn";
import type { TableDetails } from "../../provider/src/status";
import { assertSameContent, digests } from "../support/content";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { assertReportedRows, reportOf, statesIn } from "../support/report";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

describe("an online migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  /** Process ID of the worker that holds the lease, from the status. */
  async function workerPid(resource: Resource): Promise<number> {
    const { worker } = await resource.refresh();
    assert(worker.pid !== undefined);
    return worker.pid;
  }

  it("waits for its cutover, shows live counters, and cuts over on an idle source", async () => {
    const database = await lab.adventureWorks();
    const resource = new Resource();
    const waiting = await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    assert.equal(waiting.state, "WaitingForUserAction");
    assert.equal(waiting.currentSubStateDetails.currentSubState, "WaitingForCutoverTrigger");
    assert.equal(waiting.currentSubStateDetails.dbDetails[database]!.migrationState, "WaitingForCutoverTrigger");
    assert.equal(waiting.currentSubStateDetails.dbDetails[database]!.fullLoadCompletedTables, 68);

    await lab.source.query(
      `INSERT INTO humanresources.department VALUES (17, 'Logistics', 'Inventory Management', DEFAULT);
       UPDATE humanresources.shift SET name = 'Dawn' WHERE shiftid = 1;
       DELETE FROM sales.shoppingcartitem`,
      { database },
    );
    await until("the changes are counted", async () => {
      const details = (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
      return (
        details.cdcInsertCounter === 1 &&
        details.cdcUpdateCounter === 1 &&
        details.cdcDeleteCounter > 0 &&
        details.latency === 0
      );
    });

    // Recorded right after the counters of the database.
    const changesOf = ({ tables }: { readonly tables: readonly TableDetails[] }) =>
      tables.flatMap(({ table, inserts, updates }) => (inserts === undefined ? [] : [[table, inserts, updates]]));
    await until("the changes are counted by table", async () => {
      const changed = changesOf((await resource.refresh()).currentSubStateDetails.dbDetails[database]!);
      return changed.length === 3;
    });
    const known = changesOf(resource.status.currentSubStateDetails.dbDetails[database]!);
    assert.deepEqual(
      new Map(known.map(([table, ...counts]) => [table, counts])),
      new Map([
        ["humanresources.department", [1, 0]],
        ["humanresources.shift", [0, 1]],
        ["sales.shoppingcartitem", [0, 0]],
      ]),
    );

    const waitingReport = await reportOf(lab, resource);
    const department = waitingReport.tables.find(({ table }) => table === "department");
    assert.deepEqual(department?.changes, { inserts: 1, updates: 0, deletes: 0 });
    assert.equal(waitingReport.migration.endedOn, undefined);
    assert(waitingReport.tables.every(({ state, comparison }) => state === "completed" && !comparison));

    const done = await resource.update({ triggerCutover: true });
    assert.equal(done.state, "Succeeded");
    assert.equal(done.currentSubStateDetails.dbDetails[database]!.tablesCompared, 68);
    const report = await reportOf(lab, resource);
    await assertReportedRows(lab, report, database);
    const { cutoverLsn, snapshotLsn, changes } = report.databases[0]!;
    assert(parseLsn(cutoverLsn!) > parseLsn(snapshotLsn!), "the cutover LSN follows the snapshot's");
    assert.equal(changes?.inserts, 1);
    for (const { comparison } of report.tables)
      assert.deepEqual([comparison?.occasion, comparison?.lsn], ["cutover", cutoverLsn]);
    const sequence = report.sequences.find((one) => one.sequence === "department_departmentid_seq");
    assert.deepEqual([sequence?.schema, sequence?.setOn], ["humanresources", "target"]);
    assert.deepEqual(statesIn(report).slice(2), [
      "InProgress MigratingData",
      "WaitingForUserAction WaitingForCutoverTrigger",
      "InProgress CompletingMigration",
      "Succeeded Completed",
    ]);
    const phases = report.timeline.flatMap((one) => (one.database === database ? [one.subState] : []));
    assert.deepEqual([...new Set(phases)], ["copying", "following", "completing", "done"]);
    assert(done.cutoverTimeline.some(({ step }) => step === "apply all commits up to it"));
    await assertSameContent(...lab.places(database));
    const next = "SELECT nextval('humanresources.department_departmentid_seq') AS id";
    const login = lab.administrator;
    assert.deepEqual(await lab.target.query(next, { database, login }), await lab.source.query(next, { database }));
    assert.equal((await resource.diff({})).changes, false, "another up changes nothing");
    await resource.destroy();
  });

  it("neither loses nor duplicates rows when cut over under traffic", async () => {
    const database = await lab.database(Traffic.schema);
    const traffic = Traffic.start(lab.source, database, 4);
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online" }));
      await traffic.forTransactions(300);
      await until("the rates are reported", async () => {
        const details = (await resource.refresh()).currentSubStateDetails.dbDetails[database]!;
        return details.insertsPerSecond > 0 && details.updatesPerSecond > details.insertsPerSecond;
      });
      // The engine compares under the snapshot of the cutover LSN, while the traffic continues.
      const status = await resource.update({ triggerCutover: true });
      assert.equal(status.state, "Succeeded");
      assert.equal(status.currentSubStateDetails.dbDetails[database]!.tablesDifferent, 0);
    } finally {
      await traffic.stop();
    }
    await Traffic.assertWhole(lab.target, database, lab.administrator);
    await resource.destroy();
  });

  it("detects rows that others wrote on the target, and can be cut over after their removal", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i",
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    const onTarget = { database, login: lab.administrator };
    await lab.target.query("DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (2000)", onTarget);
    const refused = async (change: string, remedy: RegExp): Promise<void> => {
      await lab.source.query(change, { database });
      await until("the change is refused", async () => (await resource.refresh()).state === "Failed");
      assert.match(resource.status.error!, remedy);
    };
    await refused(
      "UPDATE t SET v = 'four' WHERE id = 4",
      /PGM-504: .*To do: .*insert it on the target.*pulumi up then resumes/s,
    );
    await lab.target.query("INSERT INTO t VALUES (4)", onTarget);
    assert.equal((await resource.update({})).state, "WaitingForUserAction");
    await refused("INSERT INTO t VALUES (2000)", /PGM-504: .*To do: .*deleting a row.*pulumi up then resumes/s);
    await lab.target.query("DELETE FROM t WHERE id = 2000", onTarget);
    assert.equal((await resource.update({})).state, "WaitingForUserAction");
    await lab.target.query("UPDATE t SET v = 'changed' WHERE id = 417", onTarget);
    const text = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(text, /"public"\."t"/);
    assert.match(text, /417/);
    assert.equal(resource.status.state, "Failed");
    assert.equal(resource.status.currentSubStateDetails.dbDetails[database]!.tablesDifferent, 1);
    await lab.target.query("UPDATE t SET v = md5('417') WHERE id = 417", onTarget);
    await lab.source.query("INSERT INTO t VALUES (1001, 'later')", { database });
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is validated without waiting for a table that another session has locked", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const resource = new Resource();
    const validated = lab.onlineInputs([database], { migrationOption: "Validate" });
    // The lock is held until the validation has ended.
    const status = await resource.create(validated);
    assert.equal(status.state, "Succeeded");
    assertFinding(status, /could not be read for 5 s: public\.t is locked by pid \d+/);
    await obstacle.query("COMMIT");
    await obstacle.end();
    await resource.destroy();
  });

  it("leaves nothing on the source when it is destroyed before its cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await resource.destroy();
    assert.deepEqual(
      Object.keys(await digests(lab.places(database)[1])),
      ["public.t"],
      "the data stays, the progress goes",
    );
  });

  it("can be destroyed when its worker is dead", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    process.kill(await workerPid(resource), "SIGKILL");
    await resource.destroy();
    assert.deepEqual(await lab.source.query("SELECT slot_name FROM pg_replication_slots"), []);
    assert.deepEqual(await lab.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'"), []);
  });

  it("cuts over at once when it is created that way", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database], { migrationMode: "Online", triggerCutover: true }));
    assert.equal(status.state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
