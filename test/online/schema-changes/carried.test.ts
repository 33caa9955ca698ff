import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { tableNames } from "./renames";

describe("schema changes of a followed source that are applied at their position", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  async function write(database: string, ...statements: readonly string[]): Promise<void> {
    for (const sql of statements) await lab.source.query(sql, { database });
  }

  it("renames, moves, types and dropped rules between rows: need no statement of the user", async () => {
    const database = await lab.database(`
      CREATE SCHEMA app; CREATE TYPE mood AS ENUM ('sad', 'happy');
      CREATE TABLE renamed (id int PRIMARY KEY, v text); CREATE TABLE app.moved (id int PRIMARY KEY, m mood);
      CREATE TABLE retyped (id int PRIMARY KEY, v numeric(10,2)); CREATE TABLE filled (id int PRIMARY KEY);
      CREATE TABLE loose (id int PRIMARY KEY, v text UNIQUE CHECK (v <> 'x')); INSERT INTO renamed VALUES (1, 'a');
      INSERT INTO app.moved VALUES (1, 'sad'); INSERT INTO retyped VALUES (1, 1.25); INSERT INTO filled VALUES (1);
      INSERT INTO loose VALUES (1, 'a'), (2, 'b')`);
    const resource = await lab.follow([database]);
    await write(
      database,
      "INSERT INTO renamed VALUES (2, 'older'); INSERT INTO app.moved VALUES (2, 'happy')",
      "ALTER TABLE renamed RENAME v TO w",
      "INSERT INTO renamed (id, w) VALUES (3, 'between')",
      "ALTER TABLE renamed RENAME TO named",
      "INSERT INTO named VALUES (4, 'newer')",
      "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
      "INSERT INTO app.moved VALUES (3, 'low')",
      "ALTER TABLE app.moved SET SCHEMA public",
      "INSERT INTO moved VALUES (4, 'low')",
      "ALTER TABLE retyped ALTER v TYPE numeric(12,4); INSERT INTO retyped VALUES (2, 1.2345)",
      "ALTER TABLE filled ADD n serial; INSERT INTO filled VALUES (2)",
      "ALTER TABLE loose DROP CONSTRAINT loose_v_key, DROP CONSTRAINT loose_v_check; UPDATE loose SET v = 'x'",
      "ALTER SCHEMA app RENAME TO shop",
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await tableNames(lab, "target", database), await tableNames(lab, "source", database));
    await assertSameContent(...lab.places(database));
    const asked = "SELECT message FROM pgmigration.event WHERE database = $1 AND message LIKE '%paused%'";
    assert.deepEqual(await lab.target.query(asked, { values: [database] }), []);
    await resource.destroy();
  });
});
