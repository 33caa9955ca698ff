import assert from "node:assert/strict";
import type pg from "pg";
import { markUnfinished } from "../../../provider/dist/cdc/target/progress.js";
import { launchWorker } from "../../../provider/dist/supervisor/launch-worker.js";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { restoredAfter } from "./restored-after";

const urn = "urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm";

/** A migration hands its database on the target over at its end and at a cancellation. No session shows that it is in use. */
describe("a database on the target", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start();
    await lab.target.query("CREATE ROLE monitor LOGIN PASSWORD 'monitor'");
  });

  after(() => lab.stop());

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
    resource = new Resource(urn);
  });

  afterEach(() => resource.destroy());

  const write = () => lab.target.query("INSERT INTO t VALUES (1000)", { database });
  const rows = async () => (await lab.target.query("SELECT FROM t", { database })).length;
  const isKept = async () => (await lab.target.query("SELECT FROM t WHERE id = 1000", { database })).length === 1;
  const set = (migration: string, one: string) =>
    lab.target.query(`UPDATE pgmigration.migration SET ${migration}; UPDATE pgmigration.database SET ${one}`);

  async function mark(): Promise<void> {
    const session = await lab.target.connect(database, lab.administrator);
    await markUnfinished(session, String(resource.inputs.migrationName)).finally(() => session.end());
  }
  const marks = () => lab.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgmigration'", { database });

  /** A worker without Pulumi. @returns the error of the migration */
  async function work(): Promise<string> {
    const { migrationName, source, target } = resource.inputs as Record<"source" | "target", object> &
      Record<"migrationName", string>;
    const job = { migrationName, maintenanceDatabase: "postgres", source, target };
    await (
      await launchWorker(job as unknown as Parameters<typeof launchWorker>[0])
    ).exited;
    const [record] = await lab.target.query<{ error: string | null }>("SELECT error FROM pgmigration.migration");
    return record!.error ?? "";
  }

  it("is kept when its cancellation is withdrawn, and replaced only with overwriteDbsInTarget", async () => {
    await resource.create(lab.onlineInputs([database]));
    await resource.update({ cancel: true });
    await write();
    const exists = new RegExp(`603101.*the database ${database} exists on the target already`, "s");
    assert.match(await Resource.failure(resource.update({ cancel: false })), exists);
    assert.match(await Resource.failure(resource.update({})), exists);
    assert(await isKept());
    await resource.update({ overwriteDbsInTarget: true });
    assert.equal(resource.status.state, "WaitingForUserAction");
    assert.equal(await rows(), 100);
    await resource.update({ cancel: true });
    await write();
    await resource.update({ cancel: false });
    assert.equal(await rows(), 100, "the input was still set");
  });

  it("is kept when the cancellation of one database is withdrawn", async () => {
    const other = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await resource.create(lab.onlineInputs([database, other]));
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [database] });
    await write();
    const refusal = await Resource.failure(resource.update({ cancel: false, dbsToCancelMigrationOn: [] }));
    assert.match(refusal, new RegExp(`the database ${database} already exists on the target`));
    assert.doesNotMatch(refusal, /the next attempt copies/);
    assert(await isKept());
    await resource.update({ overwriteDbsInTarget: true });
    assert.equal(await rows(), 100);
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [database] });
    await write();
    await resource.update({ cancel: false, dbsToCancelMigrationOn: [] });
    assert.equal(await rows(), 100, "the input was still set");
  });

  it("is kept if it was canceled while its source was away, and the cancellation is withdrawn", async () => {
    await resource.create(lab.onlineInputs([database], { reconnectFor: "3s" }));
    await lab.source.halt();
    assert.match(await Resource.failure(resource.update({ cancel: true })), /could not be removed/);
    await write();
    await lab.source.resume();
    assert.equal((await resource.update({})).state, "Canceled");
    assert.match(await Resource.failure(resource.update({ cancel: false })), /603101/);
    assert(await isKept());
  });

  for (const mode of ["Offline", "Online"])
    it(`is kept by a worker that runs a record of before the end, ${mode}, also with overwriteDbsInTarget`, async () => {
      await resource.create(lab.inputs([database], { migrationMode: mode, overwriteDbsInTarget: true }));
      if (mode === "Online") await resource.update({ triggerCutover: true });
      await write();
      for (const phase of ["copying", "queued"]) {
        await set(
          "state = 'InProgress', sub_state = 'MigratingData', ended_at = NULL",
          `phase = '${phase}', state = 'InProgress', ended_at = NULL`,
        );
        assert.match(
          await work(),
          new RegExp(`is older than the database ${database} on .*To do: .*pg-migration delete --name m-`, "s"),
        );
        assert(await isKept(), phase);
      }
    });

  const created = new RegExp(
    'PGM-313: the database (db_\\w+) on .* was created after overwriteDbsInTarget was set, and has tables: "public"\\."t".*' +
      'To do: .*pg-migration delete --name m-.*DROP DATABASE "\\1"',
    "s",
  );
  const create = (sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1000)") =>
    lab.target
      .query(`CREATE DATABASE ${database}`, { login: lab.administrator })
      .then(() => lab.target.query(sql, { database }));

  it("is kept by a worker with a record of before the copy, also with overwriteDbsInTarget", async () => {
    await resource.create(lab.inputs([database], { overwriteDbsInTarget: true, startDataMigration: false }));
    await restoredAfter(lab, async () => {
      await resource.update({ startDataMigration: true });
      await write();
    });
    await lab.target.query(`UPDATE pgmigration.migration SET spec = spec || '{"startDataMigration": true}'`);
    assert.match(await work(), created);
    assert(await isKept());
  });

  it("is kept by a successor if another one of its name replaced it meanwhile", async () => {
    await resource.create(lab.inputs([database], { overwriteDbsInTarget: true }));
    await set("state = 'InProgress', ended_at = NULL", "phase = 'copying', state = 'InProgress', ended_at = NULL");
    await lab.target.query(`DROP DATABASE ${database}`);
    await create();
    assert.match(await work(), created);
    assert(await isKept());
  });

  it("is kept if it was created while the migration waited, until it is dropped", async () => {
    await resource.create(lab.inputs([database], { overwriteDbsInTarget: true, startDataMigration: false }));
    await create();
    assert.match(await Resource.failure(resource.update({ startDataMigration: true })), created);
    assert.match(await Resource.failure(resource.update({})), created);
    assert(await isKept());
    await lab.target.query(`DROP DATABASE ${database}`);
    await resource.update({});
    assert.equal(await rows(), 100);
  });

  for (const [when, isRefused] of [
    ["while it still waits", false],
    ["after the refusal", true],
  ] as const)
    it(`is replaced if it was created while the migration waited, and overwriteDbsInTarget is set ${when}`, async () => {
      await resource.create(lab.inputs([database], { startDataMigration: false }));
      await create();
      const start = { startDataMigration: true };
      if (isRefused) assert.match(await Resource.failure(resource.update(start)), /603101/);
      await resource.update({ ...start, overwriteDbsInTarget: true });
      assert.equal(await rows(), 100);
    });

  it("without tables is replaced if it was created while the migration waited", async () => {
    await resource.create(lab.inputs([database], { overwriteDbsInTarget: true, startDataMigration: false }));
    await create("CREATE SCHEMA shop");
    await resource.update({ startDataMigration: true });
    assert.equal(await rows(), 100);
  });

  it("is handed over by a successor if the worker of an offline migration ended before that", async () => {
    await resource.create(lab.inputs([database]));
    await write();
    await set(
      "state = 'InProgress', sub_state = 'MigratingData', ended_at = NULL",
      "phase = 'completing', state = 'InProgress', ended_at = NULL",
    );
    await mark();
    assert.equal(await work(), "");
    assert.equal((await resource.refresh()).state, "Succeeded");
    assert(await isKept());
    assert.deepEqual(await marks(), []);
  });

  it("is handed over by a successor without its source, with the connection limit of the source", async () => {
    await lab.source.query(`ALTER DATABASE ${database} CONNECTION LIMIT 7`);
    await resource.create(lab.inputs([database], { fence: "readOnly", reconnectFor: "3s" }));
    await write();
    await lab.target.query(`ALTER DATABASE ${database} CONNECTION LIMIT -1`);
    await set(
      "state = 'InProgress', sub_state = 'MigratingData', ended_at = NULL",
      "phase = 'completing', state = 'InProgress', ended_at = NULL",
    );
    await mark();
    await lab.source.halt();
    assert.equal(await work().finally(() => lab.source.resume()), "");
    assert.equal((await resource.refresh()).state, "Succeeded");
    assert(await isKept());
    assert.deepEqual(await marks(), []);
    const limits = `SELECT datconnlimit AS limit FROM pg_database WHERE datname = '${database}'`;
    assert.deepEqual(await lab.target.query(limits), [{ limit: 7 }]);
  });

  it("is handed over by a cancellation while it is created, and kept when that is withdrawn", async () => {
    await resource.create(lab.inputs([database], { startDataMigration: false }));
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    await lab.target.query("CREATE TABLE t (id int PRIMARY KEY)", { database });
    await mark();
    await lab.target.query("UPDATE pgmigration.database SET being_created = true");
    await resource.update({ cancel: true });
    assert.deepEqual(await marks(), []);
    await write();
    assert.match(await Resource.failure(resource.update({ cancel: false })), /603101/);
    assert(await isKept());
  });

  describe("of an unfinished attempt is replaced without a question while a monitor is connected", () => {
    let monitor: pg.Client | undefined;

    afterEach(async () => {
      await monitor?.end();
      monitor = undefined;
    });

    async function connectMonitor(): Promise<void> {
      monitor = await lab.target.connect(database, { user: "monitor", password: "monitor" });
      monitor.on("error", () => undefined);
    }

    async function killWorker(): Promise<void> {
      process.kill(resource.status.worker.pid!, "SIGKILL");
      await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    }

    it("offline, after its worker was killed", async () => {
      // Copying the rows takes a minute.
      await lab.source.query(
        `ALTER TABLE t ADD CONSTRAINT slow CHECK (pg_sleep(0.6) IS NOT NULL) NOT VALID;
         UPDATE pg_constraint SET convalidated = true WHERE conname = 'slow'`,
        { database },
      );
      await resource.create(lab.inputs([database], { waitFor: "started" }));
      const copying = "SELECT FROM pgmigration.copy_task WHERE state = 'loading' AND kind = 'table'";
      await until("rows are copied", async () => (await lab.target.query(copying)).length > 0);
      await killWorker();
      await connectMonitor();
      await lab.source.query("ALTER TABLE t DROP CONSTRAINT slow", { database });
      await resource.update({ waitFor: "succeeded" });
      assert.equal(await rows(), 100);
    });

    it("online, after its slot was lost", async () => {
      await resource.create(lab.onlineInputs([database]));
      await killWorker();
      await until("the slot is dropped", async () => {
        const idle = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
        return (await lab.source.query(idle)).length > 0;
      });
      await connectMonitor();
      await lab.source.query("INSERT INTO t VALUES (101)", { database });
      await resource.update({ tags: { a: "b" } });
      assert.equal(await rows(), 101);
    });
  });
});
