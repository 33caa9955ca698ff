import assert from "node:assert/strict";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { findingLines } from "../support/findings";
import { InsistentWriters } from "../support/insistent-writers";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const schema = `
  CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
  INSERT INTO t (v) VALUES ('first');
  GRANT ALL ON t TO PUBLIC`;

describe("the fence of an offline migration", () => {
  let lab: Lab;
  let proxy: CuttableProxy;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
    await lab.source.query("CREATE ROLE clerk LOGIN PASSWORD 'clerk'");
  });
  after(() => lab.stop());

  beforeEach(async () => {
    database = await lab.database(schema);
    await lab.source.query(
      `ALTER DATABASE ${database} SET default_transaction_read_only = 'false';
       ALTER ROLE clerk IN DATABASE ${database} SET default_transaction_read_only = 'no'`,
    );
    proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    resource = new Resource();
  });
  afterEach(async () => {
    await resource.destroy();
    await proxy.close();
  });

  const inputs = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
    lab.inputs([database], { fence: "readOnly", source: proxy.endpoint, ...changes });
  const clerk = { user: "clerk", password: "clerk" };
  const write = (): Promise<unknown> =>
    lab.source.query("INSERT INTO t (v) VALUES ('later')", { database, login: clerk });
  const settings = (): Promise<Record<string, unknown>[]> =>
    lab.source.query(
      `SELECT setrole::regrole::text AS role, setconfig FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = '${database}') ORDER BY 1`,
    );

  /** Starts a migration and delays it after its snapshot, while `during` runs. The validation would read the schema, too. */
  async function inTheMiddle(during: () => Promise<void>): Promise<void> {
    const held = proxy.hold("pg-migration dump");
    try {
      await resource.create(inputs({ waitFor: "started", migrationOption: "Migrate" }));
      await held.first;
      await during();
    } finally {
      held.release();
    }
  }

  async function killWorker(): Promise<void> {
    const { worker } = await resource.refresh();
    process.kill(worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
  }

  it("ends writers before the snapshot, loses none of their writes, and stays until it is lifted", async () => {
    const before = await settings();
    const writers = new InsistentWriters(database, [{ ...lab.source.login, ...clerk }]);
    try {
      await until("the writers write", () => writers.acknowledged > 10);
      await inTheMiddle(async () => {
        await assert.rejects(write(), { code: "25006" });
        await until("the writers get the read-only error", () => writers.ends.has("25006"));
      });
      assert.equal((await resource.update({ waitFor: undefined })).state, "Succeeded");
    } finally {
      await writers.stop();
    }
    const rows = await lab.queryTarget(database, "SELECT FROM t");
    assert.equal(rows.length, writers.acknowledged + 1);
    await assert.rejects(write(), { code: "25006" });
    await lab.queryTarget(database, "INSERT INTO t (v) VALUES ('on the target')");
    assert.doesNotMatch(findingLines(resource.status), /default_transaction_read_only/);

    await resource.update({ fence: "none" });
    assert.deepEqual(await settings(), before);
    await write();
  });

  it("is removed when the copy fails", async () => {
    // Reading a file requires a superuser, so the copy fails on the target.
    await lab.querySource(
      database,
      `CREATE FUNCTION conf(bigint) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(pg_read_file('postgresql.conf')) $$;
       CREATE INDEX ON t (conf(id))`,
    );
    const before = await settings();
    const text = await Resource.failure(resource.create(inputs({ migrationOption: "Migrate" })));
    assert.match(text, /pg_read_file/);
    const events = await lab.target.query(
      "SELECT FROM pgmigration.event WHERE message LIKE '%is read-only for every role%'",
    );
    assert.equal(events.length, 1, "the fence was raised");
    assert.deepEqual(await settings(), before);
  });

  it("remains when the worker is killed, and the successor completes the copy behind it", async () => {
    await inTheMiddle(killWorker);
    await assert.rejects(write(), { code: "25006" });
    assert.equal((await resource.update({ waitFor: undefined })).state, "Succeeded");
    await assert.rejects(write(), { code: "25006" });
  });

  for (const [name, undo] of Object.entries<() => Promise<unknown>>({
    "a successor without fence": () => resource.update({ fence: "none", waitFor: undefined }),
    "a cancellation": () => resource.update({ cancel: true, waitFor: undefined }),
    destroy: () => resource.destroy(),
  }))
    it(`is removed after the death of its worker by ${name}`, async () => {
      const before = await settings();
      await inTheMiddle(killWorker);
      await undo();
      assert.deepEqual(await settings(), before);
      await write();
    });

  it("is removed from a running copy that is canceled", async () => {
    const before = await settings();
    let canceled = Promise.resolve<unknown>(undefined);
    await inTheMiddle(async () => {
      canceled = resource.update({ cancel: true, waitFor: undefined });
      canceled.catch(() => undefined);
      const request = "SELECT FROM pgmigration.request WHERE kind = 'cancel'";
      await until("the cancellation is requested", async () => (await lab.target.query(request)).length > 0);
    });
    await canceled;
    assert.equal(resource.status.state, "Canceled");
    assert.deepEqual(await settings(), before);
  });
});
