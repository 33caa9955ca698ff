import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import type { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** An application that waits longer than this for the migration fails the test. */
const impatiently = { options: "-c lock_timeout=5000" } as object;

describe("locks of a table that joins the stream", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 } });
  });
  after(() => lab.stop());

  for (const statement of ["TRUNCATE late", "ALTER TABLE late ADD COLUMN note text", "DROP TABLE late"])
    it(`${statement}: does not wait until the table is copied`, async () => {
      const database = await lab.database(`
        CREATE TABLE t (id int PRIMARY KEY);
        -- Computing this takes long on the target, whose version is newer.
        CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE sql
          AS $$ SELECT $1 FROM pg_sleep(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 0.1 ELSE 0 END) $$`);
      const resource = await lab.follow([database]);
      await lab.querySource(
        database,
        "CREATE TABLE late (id int PRIMARY KEY, copy int GENERATED ALWAYS AS (slowly(id)) STORED); INSERT INTO late SELECT generate_series(1, 80)",
      );
      await until("the rows of the new table are copied", () => isCopied(database, "late"));
      await lab.source.query(statement, { database, login: impatiently });
      await lab.querySource(database, "INSERT INTO t VALUES (1)");
      if (statement.startsWith("DROP")) await dropOnTarget(resource, database);
      assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

  it("TRUNCATE again and again: each gets its lock, and the table is copied afterwards", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY)");
    for (let round = 1; round <= 30; round++) {
      const replaced = `BEGIN; TRUNCATE late; INSERT INTO late SELECT generate_series(1, ${round}); COMMIT; SELECT pg_sleep(0.2)`;
      await lab.source.query(replaced, { database, login: impatiently });
    }
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("an open transaction that delays the join is named", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    const application = await lab.source.connect(database);
    await application.query("BEGIN; INSERT INTO t VALUES (1)");
    await lab.querySource(database, "CREATE TABLE late (id int PRIMARY KEY)");
    await until("the open transaction is named", async () => {
      const events = await lab.target.query(
        "SELECT FROM pgmigration.event WHERE migration = $1 AND message LIKE '%older transactions%pg_terminate_backend%'",
        { values: [resource.inputs.migrationName] },
      );
      return events.length > 0;
    });
    await application.query("COMMIT");
    await application.end();
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  async function isCopied(database: string, table: string): Promise<boolean> {
    const copies = await lab.querySource(
      database,
      `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'pg-migration % join%' AND query LIKE 'COPY%"${table}"%'`,
    );
    return copies.length > 0;
  }

  async function dropOnTarget(resource: Resource, database: string): Promise<void> {
    const statement = 'DROP TABLE "public"."late"';
    await until(`${statement} is requested`, async () => (await resource.messageOf(database)).includes(statement));
    await lab.queryTarget(database, statement);
    await until("the migration resumes", async () => (await resource.messageOf(database)) === "");
  }
});
