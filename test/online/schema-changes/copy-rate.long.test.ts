import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";

describe("maxCopyRate of a table that joins the stream", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("limits its copy, until an update removes it", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { maxCopyRate: "64kB" });
    await lab.querySource(
      database,
      `CREATE TABLE late (id int PRIMARY KEY, v text);
       INSERT INTO late SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 60000) i`,
    );
    // Without a limit, all rows are read in less time.
    await until("the table is read for five seconds", async () => {
      const reading = await lab.querySource(
        database,
        `SELECT FROM pg_stat_activity
          WHERE query LIKE 'COPY%late%TO STDOUT%' AND state = 'active' AND query_start < clock_timestamp() - interval '5 s'`,
      );
      return reading.length === 1;
    });
    await resource.update({ maxCopyRate: undefined });
    const ended = await resource.update({ triggerCutover: true });
    assert.equal(ended.state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
