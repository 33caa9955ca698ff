import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";
import { Resource } from "../support/resource";
import { assertFinding } from "../support/findings";

describe("a keyless table", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("that has only a generated key identifies rows by all columns, because the stream omits generated columns", async () => {
    const database = await lab.database(
      `CREATE TABLE computed (id int, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY, v text);
       INSERT INTO computed VALUES (1), (2), (3);
       CREATE TABLE "un's" (id int); ALTER TABLE "un's" REPLICA IDENTITY NOTHING;
       CREATE TABLE chosen (id int); ALTER TABLE chosen REPLICA IDENTITY FULL`,
    );
    const resource = await lab.follow([database], { keylessTables: "full" });
    await lab.source.query(
      `UPDATE computed SET v = 'changed' WHERE id = 1; UPDATE computed SET id = 20 WHERE id = 2; DELETE FROM computed WHERE id = 3;
       CREATE TABLE late (id int); INSERT INTO late VALUES (1)`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    const identities =
      "SELECT relname, relreplident::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1";
    const unchanged = [
      { relname: "chosen", relreplident: "f" },
      { relname: "computed", relreplident: "d" },
      { relname: "late", relreplident: "d" },
      { relname: "un's", relreplident: "n" },
    ];
    for (const { server } of lab.places(database))
      assert.deepEqual(await server.query(identities, { database }), unchanged);
    await resource.destroy();
  });

  it("without columns replicates its deletes", async () => {
    const database = await lab.database("CREATE TABLE empty (); INSERT INTO empty DEFAULT VALUES");
    await lab.source.query("INSERT INTO empty SELECT FROM generate_series(1, 20)", { database });
    const resource = await lab.follow([database], { keylessTables: "full" });
    await lab.source.query(
      `INSERT INTO empty SELECT FROM generate_series(1, 5);
       DELETE FROM empty WHERE ctid IN (SELECT ctid FROM empty LIMIT 9); DELETE FROM empty WHERE ctid = (SELECT min(ctid) FROM empty)`,
      { database },
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const rows = await lab.queryTarget(database, "SELECT count(*)::int AS rows FROM empty");
    assert.deepEqual(rows, [{ rows: 16 }]);
    await resource.destroy();
  });

  it("replicates only inserts by default: a finding reports it, and the cutover detects updated rows", async () => {
    const database = await lab.database(
      `CREATE TABLE keyless (v int); INSERT INTO keyless VALUES (1), (2); CREATE TABLE "Unique" (v int UNIQUE); INSERT INTO "Unique" VALUES (1)`,
    );
    const resource = new Resource();
    const status = await resource.create(lab.onlineInputs([database]));
    assertFinding(status, /keyless.*only inserts are followed/);
    await lab.source.query(
      `INSERT INTO keyless VALUES (3); UPDATE keyless SET v = 4 WHERE v = 1; CREATE TABLE late (id int, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY)`,
      { database },
    );
    await until("the insert is applied", async () => {
      const rows = await lab.target.query("SELECT FROM keyless", lab.onTarget(database));
      return rows.length === 3;
    });
    assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /"public"\."keyless"/);
    const named = await lab.target.query(
      `SELECT FROM pgmigration.finding WHERE database = $1 AND object = '"public"."late"' AND message LIKE '%only inserts are replicated%'`,
      { values: [database] },
    );
    assert.equal(named.length, 1, "the table that was created later has a finding");

    await lab.source.query(`DELETE FROM "Unique"; INSERT INTO "Unique" VALUES (1)`, { database });
    const refused = await Resource.failure(resource.update({ triggerCutover: true }));
    assert.match(refused, /On the source: ALTER TABLE "public"\."Unique" REPLICA IDENTITY FULL/);
    await lab.source.query(`ALTER TABLE "Unique" REPLICA IDENTITY FULL; ALTER TABLE keyless REPLICA IDENTITY FULL`, {
      database,
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
