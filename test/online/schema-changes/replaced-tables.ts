import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import type { Major } from "../../support/servers/embedded-server";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** Replaces tables during an online migration from a version. */
export function replaceTablesWhileFollowing(major: Major): void {
  describe(`changes that the stream of PostgreSQL ${major} does not contain`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start({ source: { major }, target: { major: 18 } });
    });
    after(() => lab.stop());

    const tables = `
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 1000) i;
      CREATE TABLE refers (id int PRIMARY KEY, t int REFERENCES t);
      CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other SELECT i, 'as it was' FROM generate_series(1, 10) i;`;
    const publication = async (database: string): Promise<string> => {
      const [row] = await lab.source.query<{ name: string }>(
        "SELECT pubname AS name FROM pg_publication WHERE pubname !~ '_ins$'",
        { database },
      );
      return row!.name;
    };

    it("a table that takes another table's name, TRUNCATE, a table removed from the publication: they are copied again", async () => {
      const database = await lab.database(tables);
      const resource = await lab.follow([database]);
      await lab.source.query(
        `BEGIN; CREATE TABLE t_new (id int PRIMARY KEY, v text); INSERT INTO t_new SELECT i, 'new' FROM generate_series(500, 2000) i;
         ALTER TABLE refers DROP CONSTRAINT refers_t_fkey; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t;
         ALTER INDEX t_pkey RENAME TO t_old_pkey; ALTER INDEX t_new_pkey RENAME TO t_pkey; COMMIT;
         UPDATE t SET v = 'newer' WHERE id < 600; DELETE FROM t WHERE id > 1900; UPDATE t_old SET v = 'older' WHERE id < 10`,
        { database },
      );
      await lab.source.query("DELETE FROM other WHERE id < 3; TRUNCATE other; INSERT INTO other VALUES (1, 'new')", {
        database,
      });
      await lab.source.query(`ALTER PUBLICATION ${await publication(database)} DROP TABLE refers`, { database });
      await lab.source.query("INSERT INTO refers VALUES (1, 1)", { database });
      await until("the new rows are on the target", async () => {
        // For a moment, no table has the name: the former one is already renamed.
        const rows = await lab.queryTarget(database, "SELECT FROM t WHERE id = 1900").catch(() => []);
        return rows.length === 1;
      });
      await lab.source.query("UPDATE t SET v = 'last' WHERE id = 700; UPDATE refers SET t = 2; DELETE FROM other", {
        database,
      });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

    it("a column that takes another column's name, tables that swap their names: they are copied again", async () => {
      const database = await lab.database(`
        CREATE TABLE again (id int PRIMARY KEY, v text); INSERT INTO again SELECT i, 'old' FROM generate_series(1, 100) i;
        CREATE TABLE swapped (id int PRIMARY KEY, v text, w text); INSERT INTO swapped SELECT i, 'v', 'w' FROM generate_series(1, 100) i;
        CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one SELECT i, 'one' FROM generate_series(1, 100) i;
        CREATE TABLE other (id int PRIMARY KEY, v text); INSERT INTO other SELECT i, 'other' FROM generate_series(1, 100) i;
        CREATE TABLE grown (id int PRIMARY KEY); INSERT INTO grown SELECT generate_series(1, 100)`);
      const resource = await lab.follow([database]);
      await lab.source.query("ALTER TABLE grown ADD COLUMN extra text", { database });
      await lab.source.query("UPDATE grown SET extra = 'carried over'", { database });
      await until("the added column is on the target", async () => {
        const login = lab.administrator;
        const filled = "SELECT FROM pg_attribute WHERE attrelid = 'grown'::regclass AND attname = 'extra'";
        return (await lab.target.query(filled, { database, login })).length === 1;
      });
      for (const sql of [
        "ALTER TABLE again DROP COLUMN v, ADD COLUMN v text",
        "ALTER TABLE grown DROP COLUMN extra; ALTER TABLE grown ADD COLUMN extra text",
        "ALTER TABLE swapped RENAME v TO x; ALTER TABLE swapped RENAME w TO v; ALTER TABLE swapped RENAME x TO w",
        "BEGIN; ALTER TABLE one RENAME TO third; ALTER TABLE other RENAME TO one; ALTER TABLE third RENAME TO other; COMMIT",
        "ALTER INDEX one_pkey RENAME TO x; ALTER INDEX other_pkey RENAME TO one_pkey; ALTER INDEX x RENAME TO other_pkey",
        "UPDATE one SET v = 'changed' WHERE id < 3; INSERT INTO other VALUES (101, 'new')",
        "UPDATE again SET v = 'new' WHERE id = 1; UPDATE swapped SET v = 'new' WHERE id = 2; INSERT INTO grown VALUES (101, 'new')",
      ])
        await lab.source.query(sql, { database });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

    it("an altered or dropped publication ends the stream, because changes are missing from then on", async () => {
      for (const change of ["ALTER PUBLICATION % SET (publish = 'insert')", "DROP PUBLICATION %, %_ins"]) {
        const database = await lab.database(tables);
        const resource = await lab.follow([database]);
        await lab.source.query(change.replaceAll("%", await publication(database)), { database });
        const areAllGone = change.includes("DROP");
        if (!areAllGone) await lab.source.query("UPDATE t SET v = 'lost' WHERE id = 1", { database });
        await until(`it has failed by ${change}`, async () => (await resource.refresh()).state === "Failed");
        assert.match(resource.status.error ?? "", areAllGone ? /another server answers/ : /publication/);
        if (areAllGone) {
          assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
          assert.match(resource.notes.join("\n"), /the publication .* missing on the source/);
          await assertSameContent(...lab.places(database));
        } else
          for (const changes of [{}, { triggerCutover: true }])
            assert.match(await Resource.failure(resource.update(changes)), /publication/);
        await resource.destroy();
      }
    });
  });
}
