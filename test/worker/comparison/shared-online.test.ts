import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import {
  eventsOf,
  hold,
  leftOfComparisons,
  release,
  someTables,
  tables,
  verify,
  workersCompare,
} from "./shared-online";

describe("a comparison of an online migration, shared by several workers", () => {
  let lab: Lab;
  let database: string;

  before(async () => {
    lab = await Lab.start();
  });
  beforeEach(async () => {
    database = await lab.database(someTables);
  });
  after(() => lab.stop());

  it("reports the same differences as one worker, each of them once", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1 });
    await lab.queryTarget(
      database,
      `UPDATE big SET v = 'another' WHERE id IN (7, 39000); DELETE FROM big WHERE id = 20000;
       INSERT INTO t3 VALUES (-1, 'foreign')`,
    );
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "together");
    await workersCompare(lab, database, 3);
    await release(obstacle);
    const together = await verified;
    assert((await eventsOf(lab, database)).includes("3 workers compared the tables"));
    assert.deepEqual(await leftOfComparisons(lab), []);

    await resource.update({ workers: 1 });
    const alone = await verify(resource, database, "alone");
    assert.equal(together.state, "different");
    assert.equal(together.tablesCompared, tables);
    assert.equal(together.tablesDifferent, 2);
    assert.deepEqual(together.differences, alone.differences);
    assert.equal(together.message, alone.message);
    await resource.destroy();
  });

  it("proves the content at a cutover, within one time limit", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1 });
    const obstacle = await hold(lab, database);
    const cutOver = resource.update({ triggerCutover: true });
    await workersCompare(lab, database, 3);
    await release(obstacle);
    assert.equal((await cutOver).state, "Succeeded");
    assert((await eventsOf(lab, database)).includes("3 workers compared the tables"));
    const { tables: compared } = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.deepEqual([...new Set(compared.map(({ verifiedBy }) => verifiedBy))], ["content"]);
    assert.deepEqual(await leftOfComparisons(lab), []);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("fails a cutover for a difference, with its key", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1 });
    await lab.queryTarget(database, "UPDATE big SET v = 'another' WHERE id = 20000");
    const obstacle = await hold(lab, database);
    const cutOver = Resource.failure(resource.update({ triggerCutover: true }));
    await workersCompare(lab, database, 3);
    await release(obstacle);
    assert.equal((await cutOver).match(/id = 20000/g)?.length, 1);
    await resource.destroy();
  });
});
