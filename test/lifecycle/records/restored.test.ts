import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { restoredAfter } from "./restored-after";

const urn = "urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm";

/** The target's records come from a backup of the time before the cutover, after which applications use the target. */
describe("records of before the success of their migration", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
    resource = new Resource(urn);
  });

  afterEach(async () => {
    assert.equal((await lab.target.query("SELECT FROM t WHERE id = 1000", { database })).length, 1, "was kept");
    await resource.destroy();
    assert.equal((await lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary")).length, 0);
  });

  const write = () => lab.target.query("INSERT INTO t VALUES (1000)", { database });

  const older =
    /the record of m-\w+ on the target is older than this state: it lacks the end of the migration of db_\w+\..*pg-migration delete --name m-/s;

  it("are not continued with a state that has the success: refresh keeps it, and an update is refused", async () => {
    await resource.create(lab.onlineInputs([database]));
    await restoredAfter(lab, async () => {
      await resource.update({ triggerCutover: true });
      await write();
    });
    assert.equal((await resource.diff()).changes, false);
    assert.equal((await resource.refresh()).state, "Succeeded");
    assert.match(await Resource.failure(resource.update({ tags: { a: "b" } })), older);
  });

  it("of an offline copy are not continued either, but those of an update that was killed are", async () => {
    await resource.create(lab.inputs([database]));
    await write();
    const unfinished = (phase: string) => `UPDATE pgmigration.migration SET state = 'Failed';
      UPDATE pgmigration.database SET phase = '${phase}', state = 'InProgress', ended_at = NULL`;
    for (const phase of ["copying", "queued", "canceled"]) {
      await lab.target.query(unfinished(phase));
      assert.equal((await resource.refresh()).state, "Succeeded");
      assert.match(await Resource.failure(resource.update({ tags: { a: "b" } })), older);
    }
    await lab.target.query("UPDATE pgmigration.migration SET state = 'Succeeded', ended_at = now()");
    await lab.target.query("UPDATE pgmigration.database SET phase = 'done', state = 'Succeeded', ended_at = now()");
    const added = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const { outputs } = resource;
    await resource.update({ dbsToMigrate: [database, added] });
    await lab.target.query("UPDATE pgmigration.migration SET state = 'InProgress', ended_at = NULL");
    resource.outputs = outputs;
    assert.equal((await resource.update({})).state, "Succeeded");
  });

  it("of the copy are not continued while the state has a cutover of one database", async () => {
    const other = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await resource.create(lab.onlineInputs([database, other]));
    await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [database] });
    await write();
    await lab.target.query(
      "UPDATE pgmigration.database SET phase = 'copying', state = 'InProgress' WHERE phase = 'done'",
    );
    assert.equal((await resource.refresh()).currentSubStateDetails.dbDetails[database]?.migrationState, "Succeeded");
    assert.match(await Resource.failure(resource.update({ tags: { a: "b" } })), older);
  });

  for (const rollback of ["drop", "keep"])
    it(`replace no database that was cut over with rollback ${rollback}, also with a state of before it`, async () => {
      const inputs = lab.onlineInputs([database], { rollback });
      await resource.create(inputs);
      const { outputs } = resource;
      await restoredAfter(lab, async () => {
        await resource.update({ triggerCutover: true });
        await write();
      });
      resource.outputs = outputs;
      assert.match((await resource.refresh()).error ?? "", /the slot \w+ and .* are missing on the source/);
      assert.match(
        await Resource.failure(resource.update({ triggerCutover: false })),
        new RegExp(
          `publication of m-\\w+ is missing on .*, and ${database} on .* may be in use.*drop it on the target`,
          "s",
        ),
      );
      // The records do not know the slot of the rollback replication. Without a record, it is found by its name.
      await lab.target.query("DELETE FROM pgmigration.migration");
    });
});
