import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { verificationOf } from "./verification-of";

describe("online verification with a killed worker", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("is retried after lost connections; the successor ends the sessions of a killed worker and completes it", async () => {
    const database = await lab.database(
      `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('v', 1000) FROM generate_series(1, 3000) i;
       CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)`,
    );
    const resource = new Resource();
    const { worker } = await resource.create(lab.onlineInputs([database]));
    const obstacle = await lab.target.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const asked = resource.update({ verifyNow: "killed" });
    asked.catch(() => undefined);
    const isWaiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name ~ '^pg-migr'";
    const untilItCompares = (act: string): Promise<void> =>
      until("the comparison waits for the lock", async () => {
        return (await lab.target.query(`SELECT ${act} ${isWaiting}`)).length > 0;
      });
    try {
      for (let lost = 0; lost < 5; lost++) await untilItCompares("pg_terminate_backend(pid)");
      await untilItCompares("");
      const observer = new Resource();
      [observer.id, observer.outputs] = [resource.id, { ...resource.outputs }];
      assert.equal(verificationOf(await observer.refresh(), database).state, "running");
      const { bytesCompared, bytesTotal } = observer.status.currentSubStateDetails.dbDetails[database]!.comparison!;
      assert.ok(bytesCompared > 0 && bytesCompared < bytesTotal, `${bytesCompared} of ${bytesTotal}`);
      const [waiting] = await lab.target.query<{ pid: number }>(`SELECT pid ${isWaiting}`);
      process.kill(worker.pid!, "SIGKILL");
      // Otherwise the session would wait for the lock, and then read the table in vain.
      await until("the successor has terminated the session of the killed worker", async () => {
        const rows = await lab.target.query("SELECT FROM pg_stat_activity WHERE pid = $1", { values: [waiting!.pid] });
        return rows.length === 0;
      });
    } finally {
      await obstacle.end();
    }
    // The running update starts the successor.
    assert.equal(verificationOf(await asked, database).state, "equal");
    const after = await resource.refresh();
    assert.notEqual(after.worker.pid, worker.pid);
    assert.equal(after.currentSubStateDetails.dbDetails[database]!.comparison, undefined, "the comparison has ended");
    await resource.destroy();
  });
});
