import assert from "node:assert/strict";
import { CuttableProxy } from "../cdc/cuttable-proxy";
import { assertSameContent } from "../support/content";
import { assertFinding } from "../support/findings";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

describe("a cutover", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it("sets sequences ahead by the margin, in their direction, within their bounds, without any DML", async () => {
    const database = await lab.database(
      `CREATE SEQUENCE up; CREATE SEQUENCE down INCREMENT -2; CREATE SEQUENCE small MAXVALUE 12;
       CREATE SEQUENCE uncalled; CREATE SEQUENCE ring MAXVALUE 5 CYCLE`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online", sequenceMargin: 10 }));
    await lab.querySource(
      database,
      `SELECT nextval('up') FROM generate_series(1, 7); SELECT nextval('down'), nextval('small'), nextval('ring')`,
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const [row] = await lab.queryTarget(
      database,
      `SELECT nextval('up')::int AS up, nextval('down')::int AS down, nextval('uncalled')::int AS uncalled,
              (SELECT last_value::int FROM small) AS small, (SELECT last_value::int FROM ring) AS ring`,
    );
    assert.deepEqual(row, { up: 18, down: -23, uncalled: 1, small: 11, ring: 5 });
    await resource.destroy();
  });

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
      await until("the large table is counted", async () => {
        const waiting =
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%''0'' AS hash%large%'";
        return (await lab.target.query(waiting)).length > 0;
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

  it("is repeated at another LSN if a table is truncated between the first LSN and its comparison", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const proxy = await CuttableProxy.to({ ...lab.source.login, sslMode: "Disable" });
    const resource = new Resource();
    try {
      await resource.create(lab.inputs([database], { migrationMode: "Online", source: proxy.endpoint }));
      const held = proxy.hold(`${String(resource.inputs.migrationName)} compare`);
      const done = resource.update({ triggerCutover: true });
      done.catch(() => undefined);
      try {
        await Promise.race([held.first, done]);
        await lab.querySource(database, "TRUNCATE t; INSERT INTO t VALUES (2), (3)");
      } finally {
        held.letGo();
      }
      assert.equal((await done).state, "Succeeded");
      const steps = resource.status.cutoverTimeline.filter(({ step }) => step === "mark the cutover point");
      assert.equal(steps.length, 2);
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    } finally {
      await proxy.close();
    }
  });

  it("keeps replicating if a foreign key cannot be validated, and succeeds after the repair", async () => {
    const database = await lab.database(
      `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT b_a REFERENCES a);
       INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)`,
    );
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await lab.queryTarget(database, "ALTER TABLE b DROP CONSTRAINT b_a; INSERT INTO b VALUES (99, 99)");
    const text = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(text, /"public"\."b": 1 rows on the source, 2 on the target: unexpected \(id = 99\)/);
    assertFinding(resource.status, /b_a.*is NOT VALID on the target/s, database);
    assert.equal(resource.status.state, "Failed");
    await lab.querySource(
      database,
      "INSERT INTO a VALUES (2); INSERT INTO b VALUES (2, 2); DELETE FROM b WHERE id = 1",
    );
    await lab.queryTarget(database, "DELETE FROM b WHERE id = 99");
    assert.equal((await resource.update({})).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const keys = "SELECT convalidated FROM pg_constraint WHERE conname = 'b_a'";
    assert.deepEqual(await lab.queryTarget(database, keys), [{ convalidated: true }]);
    const steps = resource.status.cutoverTimeline;
    assert.deepEqual(steps.map(({ step }) => step).slice(-8), [
      ...["hold the stream", "mark the cutover point", "look at the schema once more", "apply all commits up to it"],
      ...["carry over sequences", "refresh materialized views", "compare", "clean up"],
    ]);
    assert(steps.every(({ seconds }) => seconds >= 0));
    await resource.destroy();
  });
});
