import assert from "node:assert/strict";
import { CuttableProxy } from "../../cdc/cuttable-proxy";
import { assertSameContent } from "../../support/content";
import { assertFinding, findingsOf } from "../../support/findings";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { TestClock } from "../../support/test-clock";
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
    const resource = await lab.follow([database], { cutoverWindow: ahead });
    await resource.update({ triggerCutover: true });
    const start = new Date(Date.now() + 2000).toISOString();
    await resource.update({ cutoverWindow: { start, end: ahead.end } });
    await until("it is cut over", async () => (await resource.refresh()).state === "Succeeded");
    const [ended] = await lab.target.query<{ inTime: boolean }>(
      'SELECT ended_at >= $1 AS "inTime" FROM pgmigration.database WHERE migration = $2',
      { values: [start, resource.inputs.migrationName] },
    );
    assert.deepEqual(ended, { inTime: true });
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("is not refused because the clock of Pulumi's machine is wrong", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { cutoverWindow: ahead });
    const clock = new TestClock();
    clock.skip(Date.parse("2101-01-01T00:00:00Z") - Date.now());
    try {
      const { currentSubStateDetails } = await resource.update({ triggerCutover: true });
      assert.equal(currentSubStateDetails.currentSubState, "WaitingForCutoverWindow");
    } finally {
      clock.stop();
    }
    await resource.destroy();
  });

  it("runs a requested comparison while it waits for its window", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { cutoverWindow: ahead });
    await resource.update({ triggerCutover: true });
    const { currentSubStateDetails } = await resource.update({ verifyNow: "monday" });
    assert.equal(currentSubStateDetails.currentSubState, "WaitingForCutoverWindow");
    const { requestedBy, state } = currentSubStateDetails.dbDetails[database]!.verification!;
    assert.deepEqual([requestedBy, state], ["monday", "equal"]);
    await resource.destroy();
  });

  it("names its window again after a pause for a schema change", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database], { cutoverWindow: ahead, schemaChanges: "pause" });
    await resource.update({ triggerCutover: true });
    const message = await resource.messageOf(database);
    const statement = "ALTER TABLE t ADD COLUMN v int";
    await lab.querySource(database, `${statement}; INSERT INTO t VALUES (1, 1)`);
    await until("the stream is paused", async () => (await resource.messageOf(database)).startsWith("paused: "));
    for (const triggerCutover of [true, false, true]) {
      await resource.update({ triggerCutover });
      assert.match(await resource.messageOf(database), /^paused: .*ADD COLUMN "v"/);
    }
    assert.match(resource.reported.at(-1)!, /WaitingForCutoverWindow: .*paused: .*ADD COLUMN "v"/);
    await lab.queryTarget(database, statement);
    await until("it names the window again", async () => (await resource.messageOf(database)) === message);
    const { currentSubStateDetails } = await resource.update({ tags: { changed: "yes" } });
    assert.equal(currentSubStateDetails.currentSubState, "WaitingForCutoverWindow");
    await resource.destroy();
  });

  /** How often the database was compared before its cutover. */
  const comparisons = async ({ inputs }: Resource): Promise<number> => {
    const [row] = await lab.target.query<{ count: number }>(
      `SELECT count(*)::int FROM pgmigration.event WHERE migration = $1 AND message LIKE 'verification (beforeCutover): %'`,
      { values: [inputs.migrationName] },
    );
    return row!.count;
  };

  describe("and a comparison before it", () => {
    let proxy: CuttableProxy;
    beforeEach(async () => {
      proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    });
    afterEach(() => proxy.close());

    /** A database whose first comparison waits for its release. */
    const followHeld = async (changes: Record<string, unknown>, ...others: string[]) => {
      const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const resource = await lab.follow([database, ...others], {
        ...{ source: proxy.endpoint, verifyBeforeCutover: true, waitFor: "started" },
        ...changes,
      });
      await until("it follows the source", async () => (await resource.refresh()).state === "WaitingForUserAction");
      const held = proxy.hold(`${String(resource.inputs.migrationName)} verify`);
      return { database, resource, held };
    };
    const succeeds = (resource: Resource): Promise<void> =>
      until("it is cut over", async () => (await resource.refresh()).state === "Succeeded");

    for (const endsBefore of [true, false])
      it(`starts ${endsBefore ? "when the window opens" : "after the comparison that was longer than the wait"}, without another comparison`, async () => {
        const { database, resource, held } = await followHeld({ cutoverWindow: ahead });
        await resource.update({ triggerCutover: true });
        await held.first;
        if (endsBefore) {
          held.release();
          await until("the comparison has ended", async () => (await comparisons(resource)) === 1);
        }
        await resource.update({ cutoverWindow: open });
        held.release();
        await succeeds(resource);
        assert.equal(await comparisons(resource), 1);
        await assertSameContent(...lab.places(database));
        await resource.destroy();
      });

    for (const [when, cutoverWindow] of [
      ["before its window", ahead],
      ["that it starts with", undefined],
    ] as const)
      it(`does not start if its request is withdrawn during the comparison ${when}`, async () => {
        const other = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
        const { database, resource, held } = await followHeld({ cutoverWindow }, other);
        await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [database] });
        await held.first;
        if (cutoverWindow) {
          await resource.update({ cutoverWindow: open });
          await until("the window is open", async () => (await resource.messageOf(database)) === "");
        }
        await resource.update({ triggerCutover: false, dbsToTriggerCutoverOn: [] });
        held.release();
        await resource.update({ triggerCutover: true, dbsToTriggerCutoverOn: [other], waitFor: undefined });
        const { currentSubState, dbDetails } = resource.status.currentSubStateDetails;
        assert.equal(currentSubState, "WaitingForCutoverTrigger");
        assert.deepEqual(
          [database, other].map((name) => dbDetails[name]!.migrationState),
          ["WaitingForCutoverTrigger", "Succeeded"],
        );
        assert.equal(await resource.messageOf(database), "");
        await assertFollowed(database, 2);
        await resource.destroy();
      });

    it("does not start after a comparison during which the window ended, and reports its duration", async () => {
      const { database, resource, held } = await followHeld({ cutoverWindow: open });
      await resource.update({ triggerCutover: true });
      await held.first;
      await resource.update({ cutoverWindow: over });
      held.release();
      await until("the window is missed", async () => isMissed((await resource.refresh(), resource)));
      assertFinding(
        resource.status,
        /is over, .*; the comparison before the cutover took \d+ s; changes are still applied/,
      );
      const { remedy } = findingsOf(resource.status).find(({ code }) => code === "PGM-608")!;
      assert.match(
        remedy!,
        /set cutoverWindow to a window that starts in more than 1\d min, so that the comparison ends/,
      );
      assert.match(await Resource.failure(resource.update({ waitFor: undefined })), /is over, and the cutover of /);
      await assertFollowed(database, 2);
      assert.equal((await resource.update({ cutoverWindow: undefined })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

    it("stops waiting for a smaller lag when the window is over", async () => {
      const { database, resource, held } = await followHeld({ cutoverWindow: open, maxCutoverLag: "1s" });
      await resource.update({ triggerCutover: true });
      await held.first;
      const locker = await lab.target.connect(database);
      try {
        // The comparison may read the table.
        await locker.query("BEGIN; LOCK TABLE t IN SHARE MODE");
        await lab.querySource(database, "INSERT INTO t VALUES (2)");
        const lag = async () => (await resource.refresh()).currentSubStateDetails.dbDetails[database]!.latencySeconds;
        await until("the target is behind", async () => (await lag()) > 1);
        held.release();
        const waiting = "waiting for a lag within maxCutoverLag before the cutover";
        await until("it waits for a smaller lag", async () => (await resource.messageOf(database)) === waiting);
        await resource.update({ cutoverWindow: over });
        await until("the window is missed", async () => isMissed((await resource.refresh(), resource)));
      } finally {
        await locker.end();
      }
      await resource.update({ cutoverWindow: undefined });
      await succeeds(resource);
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });
  });
});
