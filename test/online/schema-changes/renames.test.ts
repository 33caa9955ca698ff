import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { tableNames } from "./renames";

describe("tables of a followed source that are renamed more than once", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("a table that is dropped before it joins the stream does not hold up the cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.source.query("CREATE TABLE late (id int PRIMARY KEY)", { database });
    const application = await lab.source.connect(database);
    // The join waits for this lock until the table is dropped.
    await application.query("BEGIN; LOCK TABLE late; INSERT INTO late VALUES (1)");
    await until("the join of the new table has begun", async () => {
      const events = await lab.target.query(
        "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE '%to be copied%late%'",
        { values: [resource.inputs.migrationName] },
      );
      return events.length > 0;
    });
    await application.query("DROP TABLE late; COMMIT");
    await application.end();
    await lab.source.query("INSERT INTO t VALUES (1)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await tableNames(lab, "target", database), ["public.t"]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
