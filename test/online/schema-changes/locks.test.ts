import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { changeWhileJoining, impatiently } from "./joining-table";

describe("locks of a table that joins the stream", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("TRUNCATE late: does not wait until the table is copied", () => changeWhileJoining(lab, "TRUNCATE late"));

  it("TRUNCATE again and again: each gets its lock, and the table is copied afterwards", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY)");
    for (let round = 1; round <= 30; round++) {
      const replaced = `BEGIN; TRUNCATE late; INSERT INTO late SELECT generate_series(1, ${round}); COMMIT; SELECT pg_sleep(0.2)`;
      await lab.source.query(replaced, { database, login: impatiently });
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("an open transaction that delays the join is named", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const application = await lab.source.connect(database);
    await application.query("BEGIN; INSERT INTO t VALUES (1)");
    await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY)");
    await until("the open transaction is named", async () => {
      const events = await lab.target.query(
        "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE '%older transactions%pg_terminate_backend%'",
        { values: [resource.inputs.migrationName] },
      );
      return events.length > 0;
    });
    await application.query("COMMIT");
    await application.end();
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
