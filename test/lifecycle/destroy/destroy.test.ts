import assert from "node:assert/strict";
import type pg from "pg";
import { changeCaptureNames } from "../../../provider/src/cdc/model/names";
import { eraseUnrecorded } from "../../../provider/src/worker/cleanup/erase-migration";
import { digests } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { destroyWhen } from "./destroy-when";

/**
 * Destroys a migration while `create` in another process still waits for it. The check after every test fails if objects
 * remain on a server.
 */
describe("destroying a migration", () => {
  let lab: Lab;
  const open: pg.Client[] = [];

  before(async () => {
    lab = await Lab.start();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((client) => client.end()));
  });

  after(() => lab.stop());

  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i";

  /** An application session that blocks the migration until the test ends. */
  async function obstruct(database: string, sql: string): Promise<void> {
    const client = await lab.source.connect(database);
    open.push(client);
    await client.query(`BEGIN; ${sql}`);
  }

  it("works while the worker waits for an old transaction to create its slot", async () => {
    const database = await lab.database(schema);
    await obstruct(database, "INSERT INTO t VALUES (0, 'open')");
    await destroyWhen(lab.inputs([database], { migrationMode: "Online" }), "it waits for a transaction", (said) =>
      /waiting for older transactions on the source: session \d+ \(test\)/.test(said),
    );
  });

  it("drops nothing if its role lost the privilege to read the records", async () => {
    const database = await lab.database(schema);
    const resource = await lab.follow([database]);
    const { user } = lab.administrator;
    const slots = (): Promise<unknown[]> =>
      lab.source.query("SELECT FROM pg_replication_slots WHERE database = $1", { values: [database] });
    await lab.queryTarget("postgres", `REVOKE USAGE ON SCHEMA pgmigration FROM ${user}`);
    try {
      const message = /lacks USAGE on the schema pgmigration in the target's database postgres(.|\n)*GRANT USAGE/;
      assert.match(await Resource.failure(resource.destroy()), message);
      assert.equal((await slots()).length, 1);
    } finally {
      await lab.queryTarget("postgres", `GRANT USAGE ON SCHEMA pgmigration TO ${user}`);
    }
    await resource.destroy();
    assert.equal((await slots()).length, 0);
  });

  it("works while a lock on the source blocks the copy", async () => {
    const database = await lab.database(schema);
    await obstruct(database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    await destroyWhen(lab.inputs([database]), "it copies", (said) => /copying/.test(said));
  });
  it("works while the cutover waits for an open transaction", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await obstruct(database, "INSERT INTO t VALUES (0, 'open')");
    const cutover = Resource.failure(resource.update({ triggerCutover: true }));
    await until("the cutover has started", async () => {
      const other = new Resource();
      other.outputs = resource.inputs;
      return (await other.refresh()).currentSubStateDetails.currentSubState === "CompletingMigration";
    });
    await resource.destroy();
    assert.match(await cutover, /was deleted from the target|not recorded/);
  });

  it("changes nothing the second time", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    await resource.destroy();
    const state = async (): Promise<unknown> => [
      await digests({ server: lab.source, database }),
      await digests({ server: lab.target, database }),
      await lab.target.query("SELECT nspname FROM pg_namespace WHERE nspname = 'pgmigration'"),
      await lab.source.query("SELECT slot_name FROM pg_replication_slots"),
    ];
    const before = await state();
    await resource.destroy();
    assert.deepEqual(await state(), before);
  });

  it("works with a state that another version with other inputs wrote", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    resource.outputs = { ...resource.outputs, abandonedInput: true, tableJobs: "many", dbsToMigrate: [] };
    await resource.destroy();
    resource.outputs = { ...resource.outputs, source: { host: "only" } };
    assert.match(await Resource.failure(resource.destroy()), /source\.user: is missing/);
  });

  it("succeeds if the target has no records at all", () => {
    const never = new Resource();
    never.outputs = lab.inputs(["nowhere"]);
    return assert.doesNotReject(never.destroy());
  });

  it("removes slot and publications if the records on the target were deleted", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    assert.equal((await lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary")).length, 1);
    await lab.target.query("DROP SCHEMA pgmigration CASCADE");
    await resource.destroy();
    assert.deepEqual(await lab.source.query("SELECT slot_name FROM pg_replication_slots"), []);
    assert.deepEqual(await lab.source.query("SELECT pubname FROM pg_publication", { database }), []);
    await resource.destroy();
  });

  it("works without records, also if the source's databases were dropped or its login is refused", async () => {
    const [source, target] = [lab.source, lab.target].map(({ login }) => ({ ...login, sslMode: "Disable" }) as const);
    const identity = { migrationName: "unrecorded", maintenanceDatabase: "postgres" };
    const servers = { ...identity, source: source!, target: target! };
    const there = await lab.database("SELECT");
    const renamed = `${there}_before`;
    const slots = "SELECT database FROM pg_replication_slots";
    for (const database of [there, renamed])
      await lab.source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", {
        database: there,
        values: [changeCaptureNames(servers, database).slot],
      });
    const databases = ["dropped", renamed, there].map((name) => ({ name, targetName: name }));
    const erase = (hasEnded: boolean, source = servers.source) =>
      eraseUnrecorded({ ...servers, source, databases, hasEnded });
    await assert.rejects(
      erase(false),
      new RegExp(`cannot drop slots and publications of unrecorded in ${renamed} .*pg_drop_replication_slot`, "s"),
    );
    assert.equal((await lab.source.query(slots)).length, 1);
    await lab.source.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    await erase(false);
    const shut = { ...servers.source, user: "nobody_any_more" };
    await assert.rejects(erase(false, shut), /603100/);
    await erase(true, shut);
  });
});
