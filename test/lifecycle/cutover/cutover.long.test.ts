import assert from "node:assert/strict";
import { CuttableProxy } from "../../cdc/cuttable-proxy";
import { assertSameContent } from "../../support/content";
import { endpointOf } from "../../cdc/scene";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

describe("a cutover", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it("compares content within its time budget, and counts the remaining tables", async () => {
    const database = await lab.database(
      `CREATE TABLE small (id int PRIMARY KEY, v text); INSERT INTO small VALUES (1, 'a');
       CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large SELECT i, md5(i::text) FROM generate_series(1, 1000) i`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", cutoverVerificationBudget: "1h" }));
    await lab.queryTarget(database, "UPDATE small SET v = 'b'; UPDATE large SET v = 'c' WHERE id = 7");
    const text = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(text, /"public"\."small": .*different \(id = 1\)/);
    assert.match(text, /"public"\."large": .*different \(id = 7\)/);
    const slots = "SELECT FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary";
    assert.equal((await lab.querySource(database, slots)).length, 1, "the slot remains for the next attempt");

    await lab.queryTarget(database, "UPDATE small SET v = 'a'; UPDATE large SET v = md5('7') WHERE id = 7");
    await lab.querySource(database, "INSERT INTO small VALUES (2, 'c')");
    const lock = await lab.target.connect(database);
    let done;
    try {
      await lock.query("BEGIN; LOCK TABLE large");
      done = resource.update({ cutoverVerificationBudget: "5s" });
      const comparing = new Set<number>();
      // Its first session compares content until the budget is spent, its second one counts rows.
      await until("the large table is counted", async () => {
        const waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1";
        const rows = await lab.target.query<{ pid: number }>(waiting, { values: [database] });
        for (const { pid } of rows) comparing.add(pid);
        return comparing.size === 2;
      });
    } finally {
      await lock.end();
    }
    const { state, cutoverTimeline, currentSubStateDetails } = await done;
    assert.equal(state, "Succeeded");
    assert.match(cutoverTimeline.map(({ step }) => step).join(), /compare \(1 by content, 1 by counts\)/);
    const { tables, tablesCompared, tablesCounted } = currentSubStateDetails.dbDetails[database]!;
    assert.deepEqual([tablesCompared, tablesCounted], [2, 1]);
    assert.deepEqual(
      tables.map(({ table, verified, verifiedBy }) => [table, verified, verifiedBy]),
      [
        ["public.large", "equal", "counts"],
        ["public.small", "equal", "content"],
      ],
    );
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("completes the target before it reads the source for the last time", async () => {
    await lab.target.query("REVOKE SET ON PARAMETER session_replication_role FROM azure_pg_admin");
    const database = await lab.database(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE refers (id int PRIMARY KEY, t int REFERENCES t)",
    );
    const proxy = await CuttableProxy.to(endpointOf(lab.source.login));
    try {
      const source = { ...proxy.endpoint, sslMode: "Disable" };
      const resource = await lab.follow([database], { source, verification: "none" });
      const foreignKeys = "SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated";
      assert.equal((await lab.queryTarget(database, foreignKeys)).length, 0, "the foreign key is deferred");
      const held = proxy.hold("compare");
      const cutOver = resource.update({ triggerCutover: true });
      await held.first;
      const present = await lab.queryTarget(database, foreignKeys).finally(() => held.release());
      assert.equal(present.length, 1);
      assert.equal((await cutOver).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    } finally {
      await proxy.close();
      await lab.target.query("GRANT SET ON PARAMETER session_replication_role TO azure_pg_admin");
    }
  });
});
