import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { verificationOf } from "./verification-of";

describe("the locks of an online verification", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("are released for an application that waits, and the table is compared again", async () => {
    // Large compressible values: reading them takes seconds, and storing them is cheap.
    const database = await lab.database(
      `CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, repeat(i::text, 10000000) FROM generate_series(1, 20) i;
       CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)`,
    );
    const resource = await lab.follow([database]);
    const application = await lab.source.connect(database);
    const verified = resource.update({ verifyNow: "first" });
    await until("the source's rows are read", async () => {
      const reading = "SELECT FROM pg_locks WHERE relation = 'big'::regclass AND mode = 'AccessShareLock' AND granted";
      return (await lab.source.query(reading, { database })).length > 0;
    });
    await application.query("TRUNCATE big; INSERT INTO big VALUES (1, 'new')");
    await application.end();
    const verification = verificationOf(await verified, database);
    assert.equal(verification.state, "equal", verification.message);
    assert.equal(verification.tablesCompared, 2);
    const events = await lab.target.query<{ message: string }>(
      "SELECT message FROM pgmigration.event WHERE database = $1 AND message LIKE '%compared again%'",
      { values: [database] },
    );
    assert.match(
      events.map(({ message }) => message).join(),
      /cannot compare "public"\."big": .*locked by an application/,
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
