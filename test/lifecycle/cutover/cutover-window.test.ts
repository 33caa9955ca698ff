import assert from "node:assert/strict";
import { CuttableProxy } from "../../cdc/cuttable-proxy";
import { assertSameContent } from "../../support/content";
import { findingsOf } from "../../support/findings";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

const ahead = { start: "2100-02-01T02:00", end: "2100-02-01T05:00", timeZone: "Europe/Berlin" };
const over = { start: "2020-02-01T02:00", end: "2020-02-01T05:00", timeZone: "Europe/Berlin" };
const open = { start: "2020-02-01T02:00", end: "2100-02-01T05:00", timeZone: "America/New_York" };

describe("a cutover with a window", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  const isMissed = ({ status }: Resource): boolean => findingsOf(status).some(({ code }) => code === "PGM-608");

  /** What the source commits reaches the target. */
  async function assertFollowed(database: string, id: number): Promise<void> {
    await lab.querySource(database, `INSERT INTO t VALUES (${id})`);
    await until(`row ${id} is on the target`, async () => {
      const rows = await lab.queryTarget(database, `SELECT FROM t WHERE id = ${id}`);
      return rows.length === 1;
    });
  }

  it("waits for the window and replicates meanwhile, reports a missed one, and takes another one at once", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { cutoverWindow: ahead });
    const { state, currentSubStateDetails } = await resource.update({ triggerCutover: true });
    assert.deepEqual([state, currentSubStateDetails.currentSubState], ["InProgress", "WaitingForCutoverWindow"]);
    assert.equal(
      await resource.messageOf(database),
      "the cutover waits for its window: 2100-02-01T02:00 to 2100-02-01T05:00 (Europe/Berlin)",
    );
    await assertFollowed(database, 1);
    const failure = await Resource.failure(resource.update({ cutoverWindow: over }));
    assert.match(
      failure,
      new RegExp(
        `the cutover window 2020-02-01T02:00 to 2020-02-01T05:00 \\(Europe/Berlin\\) is over, and the cutover of ${database} has not started`,
      ),
    );
    assert.match(failure, /set cutoverWindow to a future window/);
    assert.equal((await resource.refresh()).state, "WaitingForUserAction");
    assert(isMissed(resource));
    await assertFollowed(database, 2);
    assert.equal((await resource.update({ cutoverWindow: open })).state, "Succeeded");
    assert(!isMissed(resource), "the finding is withdrawn");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("starts by itself when the window opens", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const start = new Date(Date.now() + 10_000);
    await resource.update({ triggerCutover: true, cutoverWindow: { start: start.toISOString(), end: ahead.end } });
    await until("it is cut over", async () => (await resource.refresh()).state === "Succeeded");
    const [first] = await lab.target.query<{ reached: boolean }>(
      `SELECT min(at) >= $1 AS reached FROM pgmigration.event WHERE migration = $2 AND database = $3 AND at >
         (SELECT at FROM pgmigration.event WHERE migration = $2 AND message LIKE 'the cutover waits for its window%')`,
      { values: [start.toISOString(), resource.inputs.migrationName, database] },
    );
    assert.deepEqual(first, { reached: true });
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("does not start after a comparison during which the window ended", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    try {
      const resource = await lab.follow([database], { source: proxy.endpoint, verifyBeforeCutover: true });
      const held = proxy.hold(`${String(resource.inputs.migrationName)} verify`);
      const end = Date.now() + 20_000;
      const cutoverWindow = { start: open.start, end: new Date(end).toISOString() };
      const missed = Resource.failure(resource.update({ triggerCutover: true, cutoverWindow }));
      await held.first;
      await until("the window is over", () => Date.now() > end);
      held.release();
      assert.match(await missed, /is over, and the cutover of .* has not started/);
      await assertFollowed(database, 1);
      assert.equal((await resource.update({ cutoverWindow: undefined })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    } finally {
      await proxy.close();
    }
  });
});
