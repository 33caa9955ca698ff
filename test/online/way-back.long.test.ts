import assert from "node:assert/strict";
import type { RollbackStatus } from "../../provider/src/status";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

describe("the way back after a cutover, whose worker or sessions are lost", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  async function cutOverAndKeep(database: string, changes: Record<string, unknown> = {}): Promise<Resource> {
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", rollback: "keep", ...changes }));
    const status = await resource.update({ triggerCutover: true });
    assert.equal(status.state, "WaitingForUserAction");
    assert.equal(status.currentSubStateDetails.currentSubState, "WaitingForRollbackDecision");
    assert.equal(status.currentSubStateDetails.dbDetails[database]!.migrationState, "Succeeded");
    return resource;
  }

  const rollbackOf = async (resource: Resource, database: string): Promise<RollbackStatus | undefined> =>
    (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.rollbackReplication;

  it("brings all that is written on the target to the source, whoever is killed, and is taken without loss", async () => {
    const database = await lab.database(`${Traffic.schema}
      CREATE TABLE keyless (a int, b text); INSERT INTO keyless SELECT i % 5, 'twin' FROM generate_series(1, 20) i;
      CREATE TABLE counted (id serial PRIMARY KEY, v text); INSERT INTO counted (v) VALUES ('before');
      CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM counted`);
    const resource = await cutOverAndKeep(database);
    assert.deepEqual(
      await lab.source.query("SELECT FROM pg_replication_slots"),
      [],
      "the stream from the source is over",
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
    assert.equal((await resource.diff()).changes, false, "what was returned is not migrated again");
    await resource.destroy();
  });
  const settingsOnTarget = (database: string): Promise<Record<string, unknown>[]> =>
    lab.target.query(
      `SELECT r.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
         LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = '${database}' ORDER BY 1`,
    );
  it("takes the target's fence down when the return fails, is taken back after its worker's death, or the resource goes", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
    );
    const write = (id: number): Promise<unknown> =>
      lab.target.query("INSERT INTO t VALUES ($1)", { ...lab.onTarget(database), values: [id] });
    const resource = await cutOverAndKeep(database, { fence: "readOnly" });
    await lab.source.query("BEGIN READ WRITE; INSERT INTO t VALUES (77); COMMIT", { database });
    assert.match(await Resource.failure(resource.update({ rollback: "return" })), /missing \(id = 77\)/);
    assert.deepEqual(await settingsOnTarget(database), []);
    await write(1);
    await lab.source.query("BEGIN READ WRITE; DELETE FROM t WHERE id = 77; COMMIT", { database });

    await resource.update({ rollback: "keep" });
    const obstacle = await lab.source.connect(database);
    try {
      // Behind the point, where views are refreshed.
      await obstacle.query("BEGIN; TABLE m");
      await resource.update({ rollback: "return", waitFor: "started" });
      await until("the target is fenced", async () => (await settingsOnTarget(database)).length > 0);
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
    assert.deepEqual(await settingsOnTarget(database), []);
    await write(2);
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await assert.rejects(write(3), { code: "25006" });
    await resource.destroy();
    assert.deepEqual(await settingsOnTarget(database), []);
    await write(3);
  });

  it("is only cleaned up by a successor once the source has all, and may have been written since", async () => {
    const database = await lab.database("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    const resource = await cutOverAndKeep(database, { fence: "readOnly" });
    await lab.target.query("INSERT INTO t (v) VALUES ('on the target')", lab.onTarget(database));
    const obstacle = await lab.source.connect();
    try {
      // Nobody can lift the fence now.
      await obstacle.query("BEGIN; LOCK TABLE pg_db_role_setting IN SHARE MODE");
      await Resource.failure(resource.update({ rollback: "return", timeouts: { update: "1s" } }));
      await until("the source has all", async () => {
        const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
        return dbDetails[database]!.migrationOperation === "returned";
      });
      process.kill(resource.status.worker.pid!, "SIGKILL");
    } finally {
      await obstacle.end();
    }
    // The fence may stand until the killed worker's last statement has run.
    const write = "BEGIN READ WRITE; INSERT INTO t (v) VALUES ('on the source'); COMMIT";
    for (let n = 0; n < 5; n++) await lab.source.query(write, { database });
    assert.equal((await resource.update({ timeouts: {} })).state, "Canceled");
    assert.deepEqual(await lab.source.query("INSERT INTO t (v) VALUES ('free') RETURNING id", { database }), [
      { id: 7 },
    ]);
    await resource.destroy();
  });
  it("is taken although every connection is lost on the way", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await cutOverAndKeep(database);
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await lab.target.query("INSERT INTO t VALUES (1)", lab.onTarget(database));
    const returning = resource.update({ rollback: "return" });
    const ours = `FROM pg_stat_activity WHERE datname = '${database}' AND application_name LIKE 'pg-migration %'`;
    await until(
      "the return has begun",
      async () => (await lab.target.query(`SELECT ${ours} AND query LIKE 'SET lock_timeout%'`)).length > 0,
    );
    for (const server of [lab.source, lab.target]) await server.query(`SELECT pg_terminate_backend(pid) ${ours}`);
    await obstacle.end();
    assert.equal((await returning).state, "Canceled");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
