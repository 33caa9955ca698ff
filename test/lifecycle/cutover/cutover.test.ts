import assert from "node:assert/strict";
import { CuttableProxy } from "../../cdc/cuttable-proxy";
import { assertSameContent } from "../../support/content";
import { assertFinding } from "../../support/findings";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("a cutover", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it("sets sequences ahead by the margin, in their direction, within their bounds, without any DML", async () => {
    const database = await lab.database(
      `CREATE SEQUENCE up; CREATE SEQUENCE down INCREMENT -2; CREATE SEQUENCE small MAXVALUE 12;
       CREATE SEQUENCE uncalled; CREATE SEQUENCE ring MAXVALUE 5 CYCLE`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", sequenceMargin: 10 }));
    await lab.querySource(
      database,
      `SELECT nextval('up') FROM generate_series(1, 7); SELECT nextval('down'), nextval('small'), nextval('ring')`,
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const [row] = await lab.queryTarget(
      database,
      `SELECT nextval('up')::int AS up, nextval('down')::int AS down, nextval('uncalled')::int AS uncalled,
              (SELECT last_value::int FROM small) AS small, (SELECT last_value::int FROM ring) AS ring`,
    );
    assert.deepEqual(row, { up: 18, down: -23, uncalled: 1, small: 11, ring: 5 });
    await resource.destroy();
  });

  it("waits until the lag is within maxCutoverLag, and until its withdrawn request is made again", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { maxCutoverLag: "1s", verifyBeforeCutover: true });
    const waits = async (): Promise<boolean> =>
      (await resource.messageOf(database)) === "waiting for a lag within maxCutoverLag before the cutover";
    const locker = await lab.target.connect(database);
    try {
      await locker.query("BEGIN; LOCK TABLE t");
      await lab.querySource(database, "INSERT INTO t VALUES (1)");
      const lag = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.latencySeconds;
      await until("the target is behind", async () => (await lag()) > 1);
      const timedOut = Resource.failure(resource.update({ triggerCutover: true, timeouts: { update: 5 } }));
      await until("the cutover waits", waits);
      assert.match(await timedOut, /did not reach its success within 5 s/);
      await resource.update({ triggerCutover: false });
      await until("the wait ends", async () => !(await waits()));
      const done = resource.update({ triggerCutover: true, timeouts: {} });
      done.catch(() => undefined);
      await until("the cutover waits", waits);
      await locker.query("COMMIT");
      assert.equal((await done).state, "Succeeded");
    } finally {
      await locker.end();
    }
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is repeated at another LSN if a table is truncated between the first LSN and its comparison", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online", source: proxy.endpoint }));
      const held = proxy.hold(`${String(resource.inputs.migrationName)} compare`);
      const done = resource.update({ triggerCutover: true });
      done.catch(() => undefined);
      try {
        await Promise.race([held.first, done]);
        await lab.querySource(database, "TRUNCATE t; INSERT INTO t VALUES (2), (3)");
      } finally {
        held.release();
      }
      assert.equal((await done).state, "Succeeded");
      const steps = resource.status.cutoverTimeline.filter(({ step }) => step === "mark the cutover point");
      assert.equal(steps.length, 2);
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    } finally {
      await proxy.close();
    }
  });

  it("keeps replicating if a foreign key cannot be validated, and succeeds after the repair", async () => {
    const database = await lab.database(
      `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT b_a REFERENCES a);
       INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await lab.queryTarget(database, "ALTER TABLE b DROP CONSTRAINT b_a; INSERT INTO b VALUES (99, 99)");
    const text = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(text, /"public"\."b": 1 rows on the source, 2 on the target: unexpected \(id = 99\)/);
    assertFinding(resource.status, /b_a.*is NOT VALID on the target/s, database);
    assert.equal(resource.status.state, "Failed");
    await lab.querySource(
      database,
      "INSERT INTO a VALUES (2); INSERT INTO b VALUES (2, 2); DELETE FROM b WHERE id = 1",
    );
    await lab.queryTarget(database, "DELETE FROM b WHERE id = 99");
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const keys = "SELECT convalidated FROM pg_constraint WHERE conname = 'b_a'";
    assert.deepEqual(await lab.queryTarget(database, keys), [{ convalidated: true }]);
    const steps = resource.status.cutoverTimeline;
    assert.deepEqual(steps.map(({ step }) => step).slice(-8), [
      ...["hold the stream", "mark the cutover point", "look at the schema once more", "apply all commits up to it"],
      ...["carry over sequences", "refresh materialized views", "compare", "clean up"],
    ]);
    assert(steps.every(({ seconds }) => seconds >= 0));
    await resource.destroy();
  });

  it("or a cancellation that another update withdraws ends the operations that wait for it", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const other = new Resource();
    Object.assign(other, { id: resource.id, outputs: resource.outputs, inputs: resource.inputs });
    const { pid } = resource.status.worker;
    const isAsked = (kind: string) => async (): Promise<boolean> =>
      (await lab.target.query("SELECT FROM pgmigration.request WHERE kind = $1", { values: [kind] })).length === 1;
    process.kill(pid!, "SIGSTOP");
    try {
      for (const [kind, on, off] of [
        ["cutover", { triggerCutover: true }, { triggerCutover: false }],
        ["cancel", { cancel: true }, { cancel: false }],
      ] as const) {
        const text = Resource.failure(resource.update(on));
        await until("it is requested", isAsked(kind));
        await other.update(off);
        assert.match(await text, new RegExp(`the ${kind}.* of ${database} was withdrawn by another update`));
        await resource.update(off);
      }
    } finally {
      process.kill(pid!, "SIGCONT");
    }
    await resource.destroy();
  });
});
