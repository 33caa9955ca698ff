import assert from "node:assert/strict";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** An application that waits longer than this for the migration fails the test. */
const impatiently = { options: "-c lock_timeout=20000" } as object;

describe("locks of the initial copy", () => {
  let lab: Lab;
  let database: string;
  let proxy: CuttableProxy;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100); CREATE TABLE other (id int PRIMARY KEY)",
    );
    proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    resource = new Resource();
  });

  afterEach(async () => {
    await resource.destroy();
    await proxy.close();
  });

  after(() => lab.stop());

  const inputsOf = (migrationMode: string, changes: Record<string, unknown> = {}): Record<string, unknown> =>
    lab.inputs([database], { migrationMode, waitFor: "started", source: proxy.endpoint, ...changes });

  const replaceRows = (rows: number): Promise<unknown> =>
    lab.source.query(`BEGIN; TRUNCATE t; INSERT INTO t SELECT generate_series(1, ${rows}); COMMIT`, {
      database,
      login: impatiently,
    });

  async function assertMigrated(): Promise<void> {
    if (resource.inputs.migrationMode === "Online") await resource.update({ waitFor: undefined });
    const cutover = resource.inputs.migrationMode === "Online" ? { triggerCutover: true } : {};
    assert.equal((await resource.update({ waitFor: undefined, ...cutover })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
  }

  const releases = async (): Promise<number> => {
    const [row] = await lab.target.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pgmigration.event
        WHERE migration = $1 AND message LIKE 'public.t of % was released%starts again with another snapshot'`,
      { values: [resource.inputs.migrationName] },
    );
    return row!.count;
  };

  const isWaiting = async (): Promise<boolean> => {
    const waiting =
      "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query ~ 'TRUNCATE'";
    return (await lab.source.query(waiting, { values: [database] })).length > 0;
  };

  for (const mode of ["Offline", "Online"]) {
    it(`${mode}: a TRUNCATE while the schema is read does not wait until it is read`, async () => {
      const inputs = inputsOf(mode, { migrationOption: "Migrate" });
      const held = proxy.hold("pg-migration dump");
      await resource.create(inputs);
      await held.first;
      await until("the snapshot is locked", async () => {
        const locks = "SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessShareLock' AND granted";
        return (await lab.source.query(locks, { database })).length > 0;
      });
      await replaceRows(50);
      held.letGo();
      await assertMigrated();
    });

    it(`${mode}: a copy that would wait behind a waiting TRUNCATE starts again`, async () => {
      const inputs = inputsOf(mode);
      const held = proxy.hold(`${String(inputs.migrationName)} copy`);
      await resource.create(inputs);
      await held.first;
      const replaced = replaceRows(50);
      await until("it waits for the snapshot", isWaiting);
      held.letGo();
      await replaced;
      await assertMigrated();
      assert.ok((await releases()) > 0);
    });
  }

  it("Online: an application that empties a table again and again never waits long, and loses no row", async () => {
    const created = resource.create(inputsOf("Online", { waitFor: undefined }));
    for (let rows = 1; rows <= 40; rows++) {
      await replaceRows(rows);
      await lab.source.query("SELECT pg_sleep(0.2)");
    }
    await created;
    await assertMigrated();
  });
});
