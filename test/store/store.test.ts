import assert from "node:assert/strict";
import { Store } from "../../provider/src/store/store";
import { Lease, leaseHolder } from "../../provider/src/store/lease";
import { deleteMigration, fenceWorkers, insertMigration, readMigration } from "../../provider/src/store/records";
import { Journal } from "../../provider/src/store/journal";
import { parseInputs } from "../../provider/src/check-inputs";
import { wishOf } from "../../provider/src/inputs";
import { TakenOver } from "../../provider/src/errors";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

describe("the store", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const address = (user = lab.administrator) => ({
    target: { ...user, sslMode: "Prefer" as const },
    maintenanceDatabase: "postgres",
  });

  const wish = (name: string) => wishOf(parseInputs(lab.inputs(["app"], { migrationName: name })));

  it("is made once by several that come at the same time", async () => {
    const stores = await Promise.all(Array.from({ length: 5 }, () => Store.open(address(), "test")));
    const [first, ...others] = stores;
    await first!.removeIfEmpty();
    assert.equal(
      (await others[0]!.query("SELECT FROM pgmigration.migration")).length,
      0,
      "others may be about to record",
    );
    await Promise.all(others.map((store) => store.close()));
    await first!.removeIfEmpty();
    await first!.close();
    assert.equal(await Store.find(address(), "test"), undefined);
  });

  it("is never removed under somebody who is about to record a migration", async () => {
    const recordAndErase = async (name: string): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const store = await Store.open(address(), "test");
        await insertMigration(store, wish(name));
        await store.close();
        const erasing = (await Store.find(address(), "test"))!;
        await deleteMigration(erasing, name);
        await erasing.removeIfEmpty();
        await erasing.close();
      }
    };
    await Promise.all(["one", "two", "three"].map(recordAndErase));
    assert.equal(await Store.find(address(), "test"), undefined);
  });

  it("holds the wish without its secrets", async () => {
    const store = await Store.open(address(), "test");
    assert.equal(await insertMigration(store, wish("without-secrets")), true);
    assert.equal(await insertMigration(store, wish("without-secrets")), false, "a name is taken once");
    const record = await readMigration(store, "without-secrets");
    assert.doesNotMatch(
      JSON.stringify(record),
      new RegExp(`${lab.administrator.password}|${lab.source.login.password}`),
    );
    assert.deepEqual(record?.wish.dbsToMigrate, ["app"]);
    await store.close();
  });

  it("gives the lease to one worker, and its writes end when another generation has begun", async () => {
    const store = await Store.open(address(), "test");
    await insertMigration(store, wish("leased"));
    const lease = await Lease.acquire(address(), "leased");
    await assert.rejects(Lease.acquire(address(), "leased"), TakenOver);
    assert(await leaseHolder(store, "leased"));
    const journal = new Journal(lease);
    await journal.state("InProgress", "MigratingData");
    await fenceWorkers(store, "leased");
    await assert.rejects(journal.state("Succeeded", "Completed"), TakenOver);
    assert.equal((await readMigration(store, "leased"))?.state, "InProgress");
    await lease.release();
    const successor = await Lease.acquire(address(), "leased");
    assert(successor.generation > lease.generation);
    await successor.release();
    await store.close();
  });

  it("takes the lease again after its session was cut, as long as nobody came after it", async () => {
    const store = await Store.open(address(), "test");
    await insertMigration(store, wish("cut"));
    const lease = await Lease.acquire(address(), "cut");
    const journal = new Journal(lease);
    const cut = async (): Promise<void> => {
      const holder = await leaseHolder(store, "cut");
      await store.query("SELECT pg_terminate_backend($1)", [holder!.backendPid]);
    };
    await cut();
    await journal.state("InProgress", "MigratingData");
    assert(await leaseHolder(store, "cut"), "the lock is held again");
    await cut();
    await fenceWorkers(store, "cut");
    await assert.rejects(journal.state("InProgress", "MigratingData"), TakenOver);
    await lease.release();
    await store.close();
  });

  it("lies in a database of its own where the maintenance database is not writable", async () => {
    await lab.target.query(
      "CREATE ROLE guest LOGIN CREATEDB PASSWORD 'guest'; GRANT SET ON PARAMETER session_replication_role TO guest",
    );
    const guest = { ...lab.administrator, user: "guest", password: "guest" };
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = new Resource();
    assert.equal((await resource.create(lab.inputs([database], { target: guest }))).state, "Succeeded");
    assert((await lab.targetDatabases()).includes("pgmigration"));
    await resource.destroy();
    assert(!(await lab.targetDatabases()).includes("pgmigration"), "the database goes with the last record");
  });
});
