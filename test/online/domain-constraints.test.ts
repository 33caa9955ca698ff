import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";

describe("an update of a row that violates a constraint of its domain", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("stops the database with a message that names the constraint and the statement to run", async () => {
    const database = await lab.database(`
      CREATE DOMAIN positive AS int; CREATE TABLE t (id int PRIMARY KEY, n positive, v text);
      INSERT INTO t VALUES (1, -1, 'old'); ALTER DOMAIN positive ADD CONSTRAINT is_positive CHECK (value > 0) NOT VALID`);
    const resource = await lab.follow([database]);
    await lab.source.query("UPDATE t SET v = 'new' WHERE id = 1", { database });
    const statement = 'ALTER DOMAIN "public"."positive" DROP CONSTRAINT "is_positive"';
    await until("the message names the statement", async () =>
      (await resource.messageOf(database)).includes(statement),
    );
    assert.match(await resource.messageOf(database), /NOT VALID or calls a function/);
    await lab.queryTarget(database, statement);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
