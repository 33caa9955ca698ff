import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** Each step is run on the source after the target has taken the one before: keyless tables first, then ones with a key. */
const sequences = {
  "RENAME twice": [
    "ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1",
    "ALTER TABLE f1 RENAME TO f2; ALTER TABLE s1 RENAME TO s2",
  ],
  "SET SCHEMA, then RENAME": [
    "ALTER TABLE f SET SCHEMA other; ALTER TABLE s SET SCHEMA other",
    "ALTER TABLE other.f RENAME TO f1; ALTER TABLE other.s RENAME TO s1",
  ],
  "RENAME SCHEMA, then RENAME TABLE": [
    "ALTER SCHEMA app RENAME TO shop",
    "ALTER TABLE shop.f RENAME TO f1; ALTER TABLE shop.s RENAME TO s1",
  ],
  "RENAME SCHEMA and RENAME TABLE at once": [
    "ALTER SCHEMA app RENAME TO shop; ALTER TABLE shop.f RENAME TO f1; ALTER TABLE shop.s RENAME TO s1",
  ],
  "RENAME and back": [
    "ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1",
    "ALTER TABLE f1 RENAME TO f; ALTER TABLE s1 RENAME TO s",
  ],
  "RENAME, then DROP": ["ALTER TABLE f RENAME TO f1; ALTER TABLE s RENAME TO s1", "DROP TABLE f1, s1"],
} as const;

const tables = (schema: string): string => `
  CREATE TABLE ${schema}.f (id int, v text); ALTER TABLE ${schema}.f REPLICA IDENTITY FULL;
  CREATE TABLE ${schema}.s (id serial PRIMARY KEY, v text);
  INSERT INTO ${schema}.f VALUES (1, 'a'); INSERT INTO ${schema}.s (v) VALUES ('a');`;

describe("tables of a followed source that are renamed more than once", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  for (const [title, steps] of Object.entries(sequences))
    it(`${title}: the target gets the same tables`, async () => {
      const database = await lab.database(`
        CREATE SCHEMA app; CREATE SCHEMA other; CREATE TABLE unchanged (id int PRIMARY KEY);
        ${tables("app")} ${tables("public")}`);
      const resource = await lab.follow([database]);
      for (const step of steps) {
        await lab.source.query(step, { database });
        await runRequestedStatements(resource, database);
      }
      await lab.source.query("INSERT INTO unchanged VALUES (1)", { database });
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      assert.deepEqual(await tableNames("target", database), await tableNames("source", database));
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

  it("a table that is dropped before it joins the stream does not hold up the cutover", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.source.query("CREATE TABLE late (id int PRIMARY KEY)", { database });
    const application = await lab.source.connect(database);
    // The join waits for this lock until the table is gone.
    await application.query("BEGIN; LOCK TABLE late; INSERT INTO late VALUES (1)");
    await until("the join of the new table has begun", async () => {
      const events = await lab.target.query(
        "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE '%to be copied%late%'",
        { values: [resource.inputs.migrationName] },
      );
      return events.length > 0;
    });
    await application.query("DROP TABLE late; COMMIT");
    await application.end();
    await lab.source.query("INSERT INTO t VALUES (1)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(await tableNames("target", database), ["public.t"]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  const tableNames = async (side: "source" | "target", database: string): Promise<unknown[]> => {
    const sql = `SELECT schemaname || '.' || tablename AS name FROM pg_tables
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'pgmigration') ORDER BY 1`;
    const rows = side === "source" ? await lab.querySource(database, sql) : await lab.queryTarget(database, sql);
    return rows.map(({ name }) => name);
  };

  /** Waits until the migration pauses for the source's last change, and runs what it asks for until it resumes. */
  async function runRequestedStatements(resource: Resource, database: string): Promise<void> {
    const requested = async (): Promise<string | undefined> => {
      const message = await resource.messageOf(database);
      return /paused: .* run on the target, in \w+: (.*)/s.exec(message)?.[1];
    };
    await until("the migration pauses", async () => (await requested()) !== undefined);
    let ran: string | undefined;
    await until("the migration resumes", async () => {
      const statement = await requested();
      if (statement !== undefined && statement !== ran) await lab.queryTarget(database, (ran = statement));
      return statement === undefined;
    });
  }
});
