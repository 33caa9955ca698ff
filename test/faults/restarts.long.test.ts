import assert from "node:assert/strict";
import type { Endpoint } from "../../provider/src/postgres/connection/endpoint";
import { logFileOf, logTail } from "../../provider/src/supervisor/launch-worker";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { endpointOf } from "../cdc/scene";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { startStartingServer } from "../support/servers/starting-server";
import { Traffic } from "../support/traffic";
import { until } from "../support/until";

describe("an online migration with server restarts", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
  });
  after(() => lab.stop());

  /** Fails unless the migration succeeds with the same worker. */
  async function assertSucceeds(resource: Resource, database: string, pid: number | undefined): Promise<void> {
    const status = await resource.update({ waitFor: undefined });
    assert.equal(status.state, "WaitingForUserAction");
    assert.equal(status.worker.pid, pid);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  }

  it("continues with the same worker while changes are replicated", async () => {
    const database = await lab.database(Traffic.schema);
    const resource = await lab.follow([database]);
    const { worker } = await resource.refresh();
    for (const [server, mode] of [
      [lab.target, "immediate"],
      [lab.source, "fast"],
      [lab.source, "immediate"],
      [lab.target, "fast"],
    ] as const) {
      await server.halt(mode);
      const starting = await startStartingServer(server.port);
      await starting.untilAsked(2);
      await starting.stop();
      await server.resume();
      await lab.source.query("INSERT INTO scratch SELECT coalesce(max(id), 0) + 1, 'here' FROM scratch", { database });
    }
    await until("the last row is applied", async () => {
      const rows = await lab.target.query("SELECT FROM scratch", lab.onTarget(database));
      return rows.length === 4;
    });
    const after = await resource.refresh();
    assert.equal(after.state, "WaitingForUserAction", after.error);
    assert.equal(after.worker.pid, worker.pid);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(
      { server: lab.source, database },
      { server: lab.target, database, login: lab.administrator },
    );
    await resource.destroy();
  });

  it("waits at its start for a server that is starting up", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    const inputs = lab.onlineInputs([database]);
    const log = logFileOf({ migrationName: String(inputs.migrationName), target: inputs.target as Endpoint });
    await lab.source.halt();
    const starting = await startStartingServer(lab.source.port);
    let created: Promise<unknown>;
    try {
      created = resource.create(inputs);
      created.catch(() => undefined);
      await starting.untilAsked(2);
      await starting.stop();
      // A server that restarts again refuses connections.
      await until("a connection was refused", async () => (await logTail(log, 100)).includes("ECONNREFUSED"));
    } finally {
      await starting.stop();
      await lab.source.resume();
    }
    await created;
    assert.equal(resource.status.state, "WaitingForUserAction");
    await resource.destroy();
  });

  it("validates again after the source did not answer for a while", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const obstacle = await lab.source.connect(database);
    const resource = new Resource();
    try {
      await obstacle.query("BEGIN; LOCK TABLE pg_catalog.pg_collation IN ACCESS EXCLUSIVE MODE");
      const inputs = lab.onlineInputs([database], { source: proxy.endpoint });
      await resource.create({ ...inputs, waitFor: "started" });
      await until("the validation waits for the lock", async () => {
        const waiting =
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '%validate%'";
        return (await lab.source.query(waiting)).length > 0;
      });
      proxy.refuse();
      const log = logFileOf({ migrationName: String(inputs.migrationName), target: inputs.target as Endpoint });
      await until("the worker could not connect twice", async () => {
        const lines = await logTail(log, 100);
        return lines.split("the connection was lost").length > 2 || lines.includes("603000");
      });
      await obstacle.query("COMMIT");
      proxy.mend();
      const { worker } = await resource.refresh();
      await assertSucceeds(resource, database, worker.pid);
    } finally {
      await obstacle.end();
      await proxy.close();
    }
  });

  it("restarts a copy that a server restart ended", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)",
    );
    const obstacle = await lab.source.connect(database);
    obstacle.on("error", () => undefined);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const resource = new Resource();
    const inputs = lab.onlineInputs([database]);
    await resource.create({ ...inputs, waitFor: "started" });
    await until("the copy waits for the lock", async () => {
      const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'pg-mig%'";
      return (await lab.source.query(waiting)).length > 0;
    });
    const { worker } = await resource.refresh();
    await lab.source.restart("immediate");
    await assertSucceeds(resource, database, worker.pid);
  });

  it("restarts a copy that lost its target while it created the database, or its snapshot while it restored the schema", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const ours = "FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
    const waits = (what: string): Promise<void> =>
      until(`${what} waits for the lock`, async () => {
        const sql = `SELECT ${ours} AND wait_event_type = 'Lock' AND query LIKE '%${what}%'`;
        return (await lab.target.query(sql)).length > 0;
      });
    const proxy = await CuttableProxy.to(endpointOf(lab.administrator));
    const onSource = await lab.source.connect(database);
    const onTarget = await lab.target.connect("postgres");
    // Without validation, whose rehearsal creates a database of its own.
    const inputs = lab.onlineInputs([database], { migrationOption: "Migrate" });
    const resource = new Resource();
    try {
      // The creation of the slot waits for this transaction.
      await onSource.query("BEGIN; SELECT txid_current()");
      // The validation creates and drops a database, too, so it runs before the lock.
      const target = { ...proxy.endpoint, sslMode: "Disable" };
      await resource.create({ ...inputs, target, startDataMigration: false });
      await onTarget.query("BEGIN; LOCK TABLE pg_catalog.pg_database IN SHARE MODE");
      await resource.update({ startDataMigration: true, waitFor: "started" });
      await waits("CREATE DATABASE");
      const { worker } = await resource.refresh();
      // The server continues the statement although its client has gone.
      proxy.cut();
      await until("the statement is retried", async () => {
        const sql = `SELECT ${ours} AND wait_event_type = 'Lock' AND query LIKE '%CREATE DATABASE%'`;
        return (await lab.target.query(sql)).length === 2;
      });
      await onTarget.query("COMMIT");
      await until("the worker creates the slot", async () => {
        const { currentSubStateDetails } = await resource.refresh();
        return currentSubStateDetails.dbDetails[database]!.message === "creating publication and slot";
      });
      // New objects have an owner, which this catalog records.
      await onTarget.query("BEGIN; LOCK TABLE pg_catalog.pg_shdepend IN SHARE MODE");
      await onSource.query("COMMIT");
      await waits("CREATE TABLE");
      await lab.source.query(`SELECT pg_terminate_backend(pid) ${ours} AND application_name LIKE '% snapshot %'`);
      await onTarget.query("COMMIT");
      await assertSucceeds(resource, database, worker.pid);
    } finally {
      await Promise.all([onSource.end(), onTarget.end()]);
      await proxy.close();
    }
  });

  it("succeeds although the session that holds the cutover's snapshot is terminated", async () => {
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
    );
    const resource = await lab.follow([database]);
    const { worker } = await resource.refresh();
    const obstacle = await lab.target.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const done = resource.update({ triggerCutover: true });
    done.catch(() => undefined);
    await until("the comparison waits for the lock", async () => {
      const waiting =
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '%compare%'";
      return (await lab.target.query(waiting)).length > 0;
    });
    // After the recorded LSN, and before the next one.
    await lab.source.query("INSERT INTO u VALUES (2)", { database });
    const holders = "FROM pg_stat_activity WHERE application_name LIKE 'pg-migration snapshot%'";
    const ended = await lab.source.query<{ pid: number }>(`SELECT pid, pg_terminate_backend(pid) ${holders}`);
    assert.equal(ended.length, 1);
    await until("another session holds a snapshot", async () => {
      const rows = await lab.source.query<{ pid: number }>(`SELECT pid ${holders}`);
      return rows.some(({ pid }) => pid !== ended[0]!.pid);
    });
    await obstacle.query("COMMIT");
    await obstacle.end();
    const status = await done;
    assert.equal(status.state, "Succeeded", status.error);
    assert.equal(status.worker.pid, worker.pid);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("completes its clean-up although the target restarts meanwhile", async () => {
    const database = await lab.database(
      `CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER always BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE t ENABLE ALWAYS TRIGGER always`,
    );
    const resource = await lab.follow([database]);
    const { worker } = await resource.refresh();
    const obstacle = await lab.target.connect(database);
    obstacle.on("error", () => undefined);
    await obstacle.query("BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE");
    const done = resource.update({ triggerCutover: true });
    done.catch(() => undefined);
    await until("the trigger waits for the lock", async () => {
      const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CREATE TRIGGER%'";
      return (await lab.target.query(waiting)).length > 0;
    });
    await lab.target.restart("immediate");
    const status = await done;
    assert.equal(status.state, "Succeeded", status.error);
    assert.equal(status.worker.pid, worker.pid);
    const triggers = "SELECT FROM pg_trigger WHERE tgname = 'always' AND tgenabled = 'A'";
    assert.equal((await lab.target.query(triggers, { database })).length, 1);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
