import assert from "node:assert/strict";
import { request } from "../../provider/src/store/requests";
import { Store } from "../../provider/src/store/store";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** Scenarios in which data must not be dropped, overwritten or cut off. */
describe("a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const schema = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')";

  it("drops nothing if source and target are one server with two addresses", async () => {
    const database = await lab.database(schema);
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const inputs = lab.inputs([database], { target: proxy.endpoint, overwriteDbsInTarget: true });
    for (const migrationOption of ["ValidateAndMigrate", "Migrate"]) {
      const resource = new Resource();
      const text = await Resource.failure(
        resource.create({ ...inputs, migrationName: migrationOption, migrationOption }),
      );
      assert.match(text, /the same server/);
      await resource.destroy();
    }
    await proxy.close();
    assert.equal((await lab.source.query("SELECT FROM t", { database })).length, 1);
  });

  it("does not drop a database that another user created after a failed attempt", async () => {
    // Reading a file requires a superuser, so the first attempt fails after it created the database.
    const database = await lab.database(
      `${schema};
       CREATE FUNCTION conf(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(pg_read_file('postgresql.conf')) $$;
       CREATE INDEX ON t (conf(id))`,
    );
    const resource = new Resource();
    await Resource.failure(resource.create(lab.inputs([database])));
    const login = lab.administrator;
    await lab.target.query(`DROP DATABASE IF EXISTS ${database}`, { login });
    await lab.target.query(`CREATE DATABASE ${database}`, { login });
    await lab.target.query("CREATE TABLE precious (id int)", { database, login });
    const text = await Resource.failure(resource.update({}));
    assert.match(text, /603101/);
    assert.equal((await lab.target.query("SELECT FROM pg_class WHERE relname = 'precious'", { database })).length, 1);
    await resource.destroy();
  });

  it("copies a database that is added later, and does not touch those already in use", async () => {
    const [first, second] = [await lab.database(schema), await lab.database(schema)];
    const resource = new Resource();
    await resource.create(lab.inputs([first], { overwriteDbsInTarget: true }));
    const login = lab.administrator;
    await lab.target.query("INSERT INTO t VALUES (99, 'written after the migration')", { database: first, login });
    const change = { dbsToMigrate: [first, second] };
    assert.deepEqual((await resource.diff(change)).replaces, undefined);
    assert.equal((await resource.update(change)).state, "Succeeded");
    assert.equal((await lab.target.query("SELECT FROM t WHERE id = 99", { database: first, login })).length, 1);
    await assertSameContent({ server: lab.source, database: second }, { server: lab.target, database: second });
    await resource.destroy();
  });

  it("is not confused with another migration of the same name", async () => {
    const [first, second] = [await lab.database(schema), await lab.database(schema)];
    const inputs = lab.inputs([first]);
    const resource = new Resource();
    await resource.create(inputs);
    const text = await Resource.failure(new Resource().create({ ...inputs, dbsToMigrate: [second] }));
    assert.match(text, /already exists on .*, with another dbsToMigrate/);
    await resource.destroy();
  });

  it("is replaced when maintenanceDatabase changes, so that the old records do not remain", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const { replaces, deleteBeforeReplace } = await resource.diff({ maintenanceDatabase: "records" });
    assert.deepEqual([replaces, deleteBeforeReplace], [["maintenanceDatabase"], true]);
    await resource.destroy();
  });

  it("continues although an earlier stop request was interrupted", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    const inputs = lab.inputs([database], { migrationMode: "Online" });
    await resource.create(inputs);
    const address = { target: { ...lab.administrator, sslMode: "Prefer" as const }, maintenanceDatabase: "postgres" };
    const store = await Store.open(address, "test");
    await request(store, inputs.migrationName as string, "stop");
    await store.close();
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await resource.destroy();
  });

  it("applies a connection limit without locking itself out", async () => {
    const database = await lab.database(schema);
    await lab.source.query(`ALTER DATABASE ${database} CONNECTION LIMIT 2`);
    const resource = new Resource();
    assert.equal((await resource.create(lab.inputs([database]))).state, "Succeeded");
    const [row] = await lab.target.query<{ limit: number }>(
      `SELECT datconnlimit AS limit FROM pg_database WHERE datname = '${database}'`,
    );
    assert.equal(row!.limit, 2);
    await resource.destroy();
  });
});
