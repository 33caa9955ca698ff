import assert from "node:assert/strict";
import type { OutputPlugin } from "../../provider/src/cdc/source/slot";
import { Lab } from "../support/lab";

/** Defines the test with one output plugin. */
export function migrateSqlAscii(decodingPlugin: OutputPlugin): void {
  describe("an online migration of an SQL_ASCII database", () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.start({ source: { major: 16 } });
    });
    after(() => lab.stop());

    it(`applies bytes that are not valid UTF-8 unchanged, by ${decodingPlugin}`, async () => {
      const database = `ascii_${decodingPlugin}`;
      await lab.source.query(
        `CREATE DATABASE ${database} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`,
      );
      const write = (sql: string): Promise<unknown> =>
        lab.source.query(`SET client_encoding = 'SQL_ASCII'; ${sql}`, { database });
      await write(`
        CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, E'M\\374ller'), (2, 'plain');
        CREATE TABLE keyless (v text); INSERT INTO keyless VALUES (E'\\377'), (E'\\376')`);
      const resource = await lab.follow([database], { decodingPlugin, keylessTables: "full" });
      await write(`
        INSERT INTO t SELECT n, E'\\351t\\351 ' || n FROM generate_series(3, 40) n; UPDATE t SET v = E'\\200' WHERE id = 2;
        INSERT INTO t VALUES (99, repeat(E'\\374', 50000)); UPDATE t SET id = id + 100 WHERE id = 99;
        DELETE FROM keyless WHERE v = E'\\377'; UPDATE keyless SET v = E'\\375'; CREATE TABLE late (v text); INSERT INTO late VALUES (E'\\374')`);
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      const content = `SELECT (SELECT string_agg(id || md5(v), ',' ORDER BY id) FROM t) AS t,
                              (SELECT string_agg(md5(v), ',') FROM keyless) AS keyless, (SELECT md5(v) FROM late) AS late`;
      assert.deepEqual(await lab.queryTarget(database, content), await lab.querySource(database, content));
      await resource.destroy();
    });
  });
}
