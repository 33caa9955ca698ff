import assert from "node:assert/strict";
import type { Client } from "pg";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import type { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { renameSequences, renameWhileFollowing, tableNames } from "./renames";

describe("tables of a followed source that are renamed more than once", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  for (const [title, steps] of Object.entries(renameSequences))
    it(`${title}: the target gets the same tables`, () => renameWhileFollowing(lab, steps));

  /** Locks a new table, so that its join waits, and runs further statements meanwhile. */
  async function whileTableJoins(
    { resource, database }: { readonly resource: Resource; readonly database: string },
    run: (application: Client) => Promise<unknown>,
  ): Promise<void> {
    await lab.source.query("CREATE TABLE late (id int PRIMARY KEY)", { database });
    const application = await lab.source.connect(database);
    // The join waits for this lock.
    await application.query("BEGIN; LOCK TABLE late; INSERT INTO late VALUES (1)");
    await until("the join of the new table has begun", async () => {
      const events = await lab.target.query(
        "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE '%to be copied%late%'",
        { values: [resource.inputs.migrationName] },
      );
      return events.length > 0;
    });
    await run(application);
    await application.query("COMMIT");
    await application.end();
  }

  async function assertSameAfterCutover(resource: Resource, database: string): Promise<void> {
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database));
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  }

  it("a table that is dropped before it joins the stream does not hold up the cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await whileTableJoins({ resource, database }, (application) => application.query("DROP TABLE late"));
    await lab.source.query("INSERT INTO t VALUES (1)", { database });
    await assertSameAfterCutover(resource, database);
  });

  it("a table that is renamed while another one joins the stream is not created under its new name", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const resource = await lab.follow([database]);
    await whileTableJoins({ resource, database }, () =>
      lab.source.query("ALTER TABLE t RENAME TO renamed", { database }),
    );
    await lab.source.query("INSERT INTO renamed VALUES (2)", { database });
    await assertSameAfterCutover(resource, database);
  });

  it("a table that waits for its new name is not created when the changes of a dropped table are skipped", async () => {
    const database = await lab.database(`
      CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int PRIMARY KEY, v int)`);
    const resource = await lab.follow([database]);
    await lab.source.query(
      `CREATE TABLE part PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1); DROP TABLE part;
       ALTER TABLE t RENAME TO renamed; ALTER TABLE u RENAME v TO w; INSERT INTO u VALUES (1, 1)`,
      { database },
    );
    await until("the table is renamed", async () =>
      (await tableNames(lab, "target", database)).includes("public.renamed"),
    );
    await assertSameAfterCutover(resource, database);
  });
});
