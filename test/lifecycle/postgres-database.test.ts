import assert from "node:assert/strict";
import { CommandLine } from "../cli/command";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

describe("a migration of the database postgres", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
    await lab.querySource("postgres", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
  });

  after(() => lab.stop());

  afterEach(async () => {
    assert(!(await lab.targetDatabases()).includes("pgmigration"), "the database of the records was removed");
  });

  const overwrite = { overwriteDbsInTarget: true };

  it("is refused unless the target's database may be overwritten", async () => {
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs(["postgres"])));
    assert.match(text, /the database postgres exists on the target already/);
    await resource.destroy();
  });

  it("keeps its records in a database of its own, which is removed with it", async () => {
    const resource = new Resource();
    assert.equal((await resource.create(lab.inputs(["postgres"], overwrite))).state, "Succeeded");
    await assertSameContent(...lab.places("postgres"));
    assert((await lab.targetDatabases()).includes("pgmigration"));
    assert.equal((await resource.refresh()).state, "Succeeded");
    assert.equal((await resource.diff()).changes, false);
    await resource.destroy();
  });

  it("follows the source until the cutover", async () => {
    const resource = await lab.follow(["postgres"], overwrite);
    await lab.querySource("postgres", "INSERT INTO t VALUES (3)");
    await assert.rejects(
      resource.diff({ dbsToMigrate: ["other"] }),
      /the records of this migration are in the database pgmigration/,
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places("postgres"));
    await resource.destroy();
  });

  it("is possible with the default body of az, and found without naming its records' database", async () => {
    const command = await CommandLine.in(lab);
    try {
      const create = ["create", "--name", "crm", "--databases", "postgres", "--overwrite", "--wait"];
      const created = await command.json<{ currentStatus: { state: string } }>(create);
      assert.equal(created.currentStatus.state, "Succeeded");
      assert.deepEqual(await command.json(["list", "--filter", "All", "--query", "[].name"]), ["crm"]);
      const deleted = await command.run(["delete", "--name", "crm", "--yes"]);
      assert.equal(deleted.code, 0, deleted.stderr);
    } finally {
      await command.close();
    }
  });

  it("is refused while the target's database contains records of other migrations", async () => {
    const other = new Resource();
    await other.create(lab.inputs([await lab.database("CREATE TABLE other (id int PRIMARY KEY)")]));
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs(["postgres"], overwrite)));
    assert.match(text, /the database postgres on the target contains the records of other migrations/);
    assert.equal((await other.refresh()).state, "Succeeded");
    await Promise.all([resource.destroy(), other.destroy()]);
  });
});
