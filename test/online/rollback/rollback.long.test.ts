import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { Traffic } from "../../support/traffic";
import { until } from "../../support/until";
import { cutOverAndKeep, rollbackOf, settingsOnTarget } from "./rollback-scene";

describe("rollback replication with killed workers and lost sessions", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("applies every write of the target to the source although workers are killed, and returns without loss", async () => {
    const database = await lab.database(`${Traffic.schema}
      CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT i % 5, 'twin' FROM generate_series(1, 20) i;
      CREATE TABLE counted (id serial PRIMARY KEY, v text); INSERT INTO counted (v) VALUES ('before');
      CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM counted`);
    const resource = await cutOverAndKeep(lab, database);
    assert.deepEqual(
      await lab.source.query("SELECT FROM pg_replication_slots"),
      [],
      "the stream from the source has ended",
    );
    const traffic = Traffic.start(lab.target, database, 3);
    try {
      await lab.target.query(
        `INSERT INTO counted (v) VALUES ('after'), ('after'); UPDATE keyless SET b = 'changed' WHERE a = 1;
         DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 2)`,
        lab.onTarget(database),
      );
      for (let round = 0; round < 2; round++) {
        await traffic.forTransactions(100);
        const { worker } = await resource.refresh();
        process.kill(worker.pid!, "SIGKILL");
        await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
        await traffic.forTransactions(50);
        assert.equal((await resource.diff()).changes, true, "a lost worker is a change");
        const succeeded = await resource.update({});
        assert.equal(succeeded.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
      }
    } finally {
      await traffic.stop();
    }
    await lab.target.query("REFRESH MATERIALIZED VIEW total", { database });
    const returned = await resource.update({ rollback: "return" });
    assert.equal(returned.state, "Canceled");
    assert.equal(returned.currentSubStateDetails.dbDetails[database]!.rollbackReplication, undefined);
    await assertSameContent(...lab.places(database));
    await Traffic.assertWhole(lab.source, database, lab.source.login);
    const next = "SELECT nextval('counted_id_seq') AS id";
    assert.deepEqual(await lab.source.query(next, { database }), [{ id: "4" }]);
    assert.equal((await resource.diff()).changes, false, "a returned database is not migrated again");
    await resource.destroy();
  });

  it("lowers the target's fence if the return fails, is revoked after its worker died, or the resource is destroyed", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
    );
    const write = (id: number): Promise<unknown> =>
      lab.target.query("INSERT INTO t VALUES ($1)", { ...lab.onTarget(database), values: [id] });
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.source.query("BEGIN READ WRITE; INSERT INTO t VALUES (77); COMMIT", { database });
    assert.match(await Resource.failure(resource.update({ rollback: "return" })), /missing \(id = 77\)/);
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(1);
    await lab.source.query("BEGIN READ WRITE; DELETE FROM t WHERE id = 77; COMMIT", { database });

    await resource.update({ rollback: "keep" });
    const obstacle = await lab.source.connect(database);
    try {
      // Blocks the refresh of views, which follows the recorded LSN.
      await obstacle.query("BEGIN; TABLE m");
      await resource.update({ rollback: "return", waitFor: "started" });
      await until("the target is fenced", async () => (await settingsOnTarget(lab, database)).length > 0);
      await until("the return waits", async () => {
        const waiting = "SELECT FROM pg_stat_activity WHERE query LIKE '%REFRESH%' AND wait_event_type = 'Lock'";
        return (await lab.source.query(waiting)).length > 0;
      });
      assert.equal((await rollbackOf(resource, database))?.state, "returning");
      await assert.rejects(write(2), { code: "25006" });
      process.kill((await resource.refresh()).worker.pid!, "SIGKILL");
      await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
      await assert.rejects(write(2), { code: "25006" });
    } finally {
      await obstacle.end();
    }
    await resource.update({ rollback: "keep", waitFor: undefined });
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(2);
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await assert.rejects(write(3), { code: "25006" });
    await resource.destroy();
    assert.deepEqual(await settingsOnTarget(lab, database), []);
    await write(3);
  });

  it("continues after a failed return, while another database keeps the worker alive", async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY)");
    const other = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database, other], { rollback: "keep", fence: "none" });
    await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [database] });
    await lab.source.query("INSERT INTO t VALUES (77)", { database });
    assert.match(await Resource.failure(resource.update({ rollback: "return" })), /unexpected|missing \(id = 77\)/);
    const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
    assert.equal(dbDetails[database]!.migrationState, "Failed");
    await lab.target.query(
      "INSERT INTO t SELECT nextval('t_id_seq') FROM generate_series(1, 50)",
      lab.onTarget(database),
    );
    await until("the source has the row of the target", async () => {
      return (await lab.source.query("SELECT FROM t WHERE id = 50", { database })).length === 1;
    });
    await until("the source's sequence is ahead of the target's", async () => {
      const [row] = await lab.source.query("SELECT last_value > 50 AS ahead FROM t_id_seq", { database });
      return row!.ahead as boolean;
    });
    await until("the state is shown", async () => (await rollbackOf(resource, database))?.state === "following");
    await lab.source.query("DELETE FROM t WHERE id = 77", { database });
    await resource.update({ dbsToTriggerCutoverOn: [database, other], rollback: "keep" });
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is only cleaned up by a successor if the source already has all rows, because applications may write there", async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    const resource = await cutOverAndKeep(lab, database, { fence: "readOnly" });
    await lab.target.query("INSERT INTO t (v) VALUES ('on the target')", lab.onTarget(database));
    const obstacle = await lab.source.connect();
    try {
      // Blocks the removal of the fence.
      await obstacle.query("BEGIN; LOCK TABLE pg_db_role_setting IN SHARE MODE");
      await Resource.failure(resource.update({ rollback: "return", timeouts: { update: "1s" } }));
      await until("the source has all rows", async () => {
        const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
        return dbDetails[database]!.migrationOperation === "returned";
      });
      process.kill(resource.status.worker.pid!, "SIGKILL");
    } finally {
      await obstacle.end();
    }
    // The fence may remain until the last statement of the killed worker ends.
    const write = "BEGIN READ WRITE; INSERT INTO t (v) VALUES ('on the source'); COMMIT";
    for (let n = 0; n < 5; n++) await lab.source.query(write, { database });
    assert.equal((await resource.update({ timeouts: {} })).state, "Canceled");
    assert.deepEqual(await lab.source.query("INSERT INTO t (v) VALUES ('free') RETURNING id", { database }), [
      { id: 7 },
    ]);
    await resource.destroy();
  });

  it("returns although every connection is lost meanwhile", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await cutOverAndKeep(lab, database);
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await lab.target.query("INSERT INTO t VALUES (1)", lab.onTarget(database));
    const returning = resource.update({ rollback: "return" });
    const ours = `FROM pg_stat_activity WHERE datname = '${database}' AND application_name LIKE 'pg-migration %'`;
    await until(
      "the return has started",
      async () => (await lab.target.query(`SELECT ${ours} AND query LIKE 'SET lock_timeout%'`)).length > 0,
    );
    for (const server of [lab.source, lab.target]) await server.query(`SELECT pg_terminate_backend(pid) ${ours}`);
    await obstacle.end();
    assert.equal((await returning).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
