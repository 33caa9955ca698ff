import assert from "node:assert/strict";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";

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
