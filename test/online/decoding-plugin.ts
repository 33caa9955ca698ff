import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import type { Major } from "../support/servers/embedded-server";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** Migrates online from one version with the output plugin test_decoding. */
export function migrateByTestDecoding(major: Major): void {
  describe(`an online migration from PostgreSQL ${major} with test_decoding`, () => {
    let lab: Lab;

    before(async () => {
      lab = await Lab.start({ source: { major } });
    });
    after(() => lab.stop());

    it("applies all kinds of changes, adds new tables, and omits excluded tables", async () => {
      const database = await lab.database(
        `CREATE TABLE t (id int PRIMARY KEY, v text, big text); INSERT INTO t SELECT i, 'v', repeat('x', 5000) FROM generate_series(1, 100) i;
         ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL;
         CREATE TABLE left_out (id int PRIMARY KEY); CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('one')`,
      );
      const resource = new Resource();
      const inputs = { migrationMode: "Online", decodingPlugin: "test_decoding", exclude: { tables: ["left_out"] } };
      await resource.create(lab.inputs([database], { ...inputs, keylessTables: "full" }));
      const [slot] = await lab.source.query("SELECT plugin FROM pg_replication_slots");
      assert.deepEqual(slot, { plugin: "test_decoding" });
      await lab.source.query(
        `INSERT INTO left_out VALUES (1); INSERT INTO t VALUES (101, 'it''s', NULL); UPDATE t SET v = 'changed' WHERE id < 10;
         UPDATE t SET id = 1000 WHERE id = 50; DELETE FROM t WHERE id = 60; UPDATE keyless SET v = 'two';
         CREATE TABLE later (id int PRIMARY KEY, v text); INSERT INTO later VALUES (1, 'before')`,
        { database },
      );
      await until("the new table exists on the target", async () => {
        const [row] = await lab.target.query("SELECT to_regclass('later') IS NOT NULL AS found", {
          database,
          login: lab.administrator,
        });
        return row!.found === true;
      });
      await lab.source.query("INSERT INTO later VALUES (2, 'after'); ALTER TABLE t ADD COLUMN more int", { database });
      await lab.source.query("UPDATE t SET more = 1 WHERE id = 1", { database });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await lab.source.query("DROP TABLE left_out", { database });
      await assertSameContent(
        { server: lab.source, database },
        { server: lab.target, database, login: lab.administrator },
      );
      await resource.destroy();
    });
  });
}
