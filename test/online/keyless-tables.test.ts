import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { until } from "../support/until";

describe("a keyless table", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  it("keeps the replica identity FULL until the last migration that replicates it ends", async () => {
    const database = await lab.database("CREATE TABLE keyless (v int); INSERT INTO keyless VALUES (1), (1), (2)");
    const first = await lab.follow([database], { keylessTables: "full" });
    const databaseNames = { [database]: `${database}_2` };
    const second = await lab.follow([database], { keylessTables: "full", databaseNames });
    await first.destroy();
    await lab.source.query("UPDATE keyless SET v = 3 WHERE v = 2; INSERT INTO keyless VALUES (3)", { database });
    assert.equal((await second.update({ triggerCutover: true })).state, "Succeeded");
    const [source, target] = lab.places(database);
    await assertSameContent(source, { ...target, database: `${database}_2` });
    const identity = "SELECT relreplident::text FROM pg_class WHERE relname = 'keyless'";
    assert.deepEqual(await lab.source.query(identity, { database }), [{ relreplident: "d" }]);
    await second.destroy();
  });

  it("that the source creates is copied although a publication of the target sends deletes of all tables", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (v int)");
    const resource = await lab.follow([database], { keylessTables: "full" });
    await lab.target.query("CREATE PUBLICATION everything FOR ALL TABLES", { database });
    await lab.querySource(
      database,
      "CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1); CREATE TABLE later (v int); INSERT INTO later VALUES (1)",
    );
    await until("the new tables are on the target", async () => {
      const [row] = await lab.queryTarget<{ found: number }>(
        database,
        "SELECT count(*)::int AS found FROM pg_stat_user_tables WHERE relname IN ('keyed', 'later') AND n_tup_ins = 1",
      );
      return row!.found === 2;
    });
    await lab.querySource(database, "INSERT INTO keyless VALUES (1); UPDATE keyless SET v = 2; DELETE FROM keyed");
    await until("the changes are applied", async () => {
      return (await lab.queryTarget(database, "SELECT FROM keyless WHERE v = 2")).length === 1;
    });
    await lab.querySource(database, "UPDATE keyless SET v = 3");
    await until("the update is refused", async () => {
      const message = await resource.messageOf(database);
      return /"keyless" because it does not have a replica identity.*To do:.*set REPLICA IDENTITY/s.test(message);
    });
    await lab.queryTarget(database, "ALTER TABLE keyless REPLICA IDENTITY FULL");
    await resource.update({});
    await until("the update is applied", async () => {
      return (await lab.queryTarget(database, "SELECT FROM keyless WHERE v = 3")).length === 1;
    });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  for (const keylessTables of ["full", "insertsOnly"])
    it(`with replica identity NOTHING that the source resets, ${keylessTables}: has the same identity after the cutover`, async () => {
      const database = await lab.database(
        `CREATE TABLE keyed (id int PRIMARY KEY, v int); INSERT INTO keyed VALUES (1, 1); CREATE TABLE keyless (v int); CREATE TABLE other (v int);
         ALTER TABLE keyed REPLICA IDENTITY NOTHING; ALTER TABLE keyless REPLICA IDENTITY NOTHING; ALTER TABLE other REPLICA IDENTITY NOTHING`,
      );
      const resource = await lab.follow([database], { keylessTables });
      await lab.querySource(
        database,
        "ALTER TABLE keyed REPLICA IDENTITY DEFAULT; ALTER TABLE keyless REPLICA IDENTITY DEFAULT; INSERT INTO keyless VALUES (1)",
      );
      await until("the insert is applied", async () => {
        return (await lab.queryTarget(database, "SELECT FROM keyless")).length === 1;
      });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      const identities =
        "SELECT relname, relreplident::text FROM pg_class WHERE relname IN ('keyed', 'keyless', 'other') ORDER BY 1";
      assert.deepEqual(await lab.queryTarget(database, identities), await lab.querySource(database, identities));
      await resource.destroy();
    });

  it("gets its replica identity back when the migration is destroyed before its cutover", async () => {
    const database = await lab.database("CREATE TABLE keyless (v int); ALTER TABLE keyless REPLICA IDENTITY NOTHING");
    const resource = await lab.follow([database], { keylessTables: "full" });
    await resource.destroy();
    const rows = await lab.source.query("SELECT relreplident::text FROM pg_class WHERE relname = 'keyless'", {
      database,
    });
    assert.deepEqual(rows, [{ relreplident: "n" }]);
  });
});
