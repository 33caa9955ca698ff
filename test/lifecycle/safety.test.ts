import assert from "node:assert/strict";
import { request } from "../../provider/src/store/requests";
import { Store } from "../../provider/src/store/store";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { startAzureLikeServer } from "../support/servers/azure-like";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** What must never be dropped, overwritten or cut off, each a scenario that somebody will come into. */
describe("a migration never touches what is not its own", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const schema = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')";

  it("drops nothing where source and target are one server under two addresses", async () => {
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

  it("does not take a database for its own that somebody else has made after a failed try", async () => {
    // Reading a file is a superuser's privilege, so the first try fails after it has made the database.
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

  it("lets two targets be filled from one source under one name", async () => {
    const { server, administrator } = await startAzureLikeServer({ major: 16 });
    try {
      const database = await lab.database(schema);
      const inputs = lab.inputs([database], { migrationMode: "Online" });
      const [one, other] = [new Resource(), new Resource()];
      await one.create(inputs);
      await other.create({ ...inputs, target: administrator });
      await lab.source.query("INSERT INTO t VALUES (2, 'two')", { database });
      await other.destroy();
      assert.equal((await one.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
      await one.destroy();
    } finally {
      await server.stop();
    }
  });

  it("brings a database that is added later, and leaves alone what is in use by then", async () => {
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

  it("is not taken for another one that has its name", async () => {
    const [first, second] = [await lab.database(schema), await lab.database(schema)];
    const inputs = lab.inputs([first]);
    const resource = new Resource();
    await resource.create(inputs);
    const text = await Resource.failure(new Resource().create({ ...inputs, dbsToMigrate: [second] }));
    assert.match(text, /already, with another dbsToMigrate/);
    await resource.destroy();
  });

  it("is replaced, not abandoned, when its records are to lie elsewhere", async () => {
    const database = await lab.database(schema);
    const resource = new Resource();
    await resource.create(lab.inputs([database]));
    const { replaces, deleteBeforeReplace } = await resource.diff({ maintenanceDatabase: "records" });
    assert.deepEqual([replaces, deleteBeforeReplace], [["maintenanceDatabase"], true]);
    await resource.destroy();
  });

  it("goes on although somebody was interrupted while stopping it", async () => {
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

  it("takes over a connection limit without being locked out by it", async () => {
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
