import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";

/** The setting decides how long each row of `slow` takes, in seconds. */
const pause = "test.pause";

const paused = `
  CREATE FUNCTION paused() RETURNS bool LANGUAGE plpgsql AS $$
  BEGIN PERFORM pg_sleep(current_setting('${pause}')::float); RETURN true; END $$;
  CREATE FUNCTION paused(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN PERFORM pg_sleep(current_setting('${pause}')::float); RETURN $1; END $$;
  CREATE UNLOGGED TABLE fast (id int PRIMARY KEY, v text); INSERT INTO fast SELECT i, 'v' || i FROM generate_series(1, 3000) i;
  CREATE UNLOGGED TABLE never_filled (id int PRIMARY KEY);
  CREATE TABLE slow (id int PRIMARY KEY, v text); INSERT INTO slow SELECT i, 'v' || i FROM generate_series(1, 100) i;`;

/** In a string, because a check that calls the function is created after the rows. */
const condition = "query_to_xml('SELECT public.paused()', true, true, '') IS NOT NULL";

describe("a crash of the target, which empties unlogged tables,", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  const setPause = async (seconds: number): Promise<void> => {
    await lab.target.query(`ALTER SYSTEM SET ${pause} = '${seconds}'`);
    await lab.target.query("SELECT pg_reload_conf()");
  };
  const recorded = async (sql: string): Promise<boolean> =>
    (await lab.target.query(sql, { values: [database] }).catch(() => [])).length > 0;
  const events = async (): Promise<string> => {
    const sql = "SELECT message FROM pgmigration.event WHERE database = $1 ORDER BY id";
    return (await lab.target.query<{ message: string }>(sql, { values: [database] }))
      .map(({ message }) => message)
      .join("\n");
  };
  const crash = async (): Promise<void> => {
    await lab.target.restart("immediate");
    await setPause(0);
  };

  before(async () => {
    const parameters = { [pause]: "0", autovacuum: "off" };
    lab = await Lab.start({ source: { parameters }, target: { parameters } });
  });
  beforeEach(() => {
    resource = new Resource();
  });
  afterEach(() => resource.destroy());
  after(() => lab.stop());

  it("Online: while changes are replicated: is reported at the cutover", async () => {
    database = await lab.database(paused);
    await resource.create(lab.onlineInputs([database]));
    await crash();
    await lab.querySource(database, "INSERT INTO slow VALUES (101)");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    const findings = "SELECT code, object FROM pgmigration.finding WHERE database = $1 AND code = 'PGM-509'";
    assert.deepEqual(await lab.target.query(findings, { values: [database] }), [
      { code: "PGM-509", object: "public.fast" },
    ]);
    const count = "SELECT count(*) FROM slow";
    assert.deepEqual(await lab.queryTarget(database, count), await lab.querySource(database, count));
  });

  for (const migrationMode of ["Offline", "Online"]) {
    it(`${migrationMode}: after all rows were copied: they are copied again`, async () => {
      database = await lab.database(`${paused} CREATE INDEX late ON slow (paused(id))`);
      await setPause(0.5);
      const migrated = resource.create(lab.inputs([database], { migrationMode }));
      await until("the index is built after the rows", () =>
        recorded(
          `SELECT FROM pgmigration.database d JOIN pg_stat_activity a ON a.datname = d.name
            WHERE d.name = $1 AND shared_copy ->> 'tablesCopied' = 'true' AND a.query ~ 'CREATE INDEX late'`,
        ),
      );
      await crash();
      await migrated;
      assert.match(
        await events(),
        /^the target has crashed, .*: "public"\."fast"; all rows are copied again, because their snapshot has ended$/m,
      );
      if (migrationMode === "Online") await resource.update({ triggerCutover: true });
      await assertSameContent(...lab.places(database));
    });

    it(`${migrationMode}: while other tables are copied: they are copied again under the same snapshot`, async () => {
      database = await lab.database(`${paused} ALTER TABLE slow ADD CHECK (${condition})`);
      await setPause(0.5);
      const migrated = resource.create(lab.inputs([database], { migrationMode, workers: 2, tableJobs: 2 }));
      await until("only the slow table is not complete", () =>
        recorded(
          `SELECT FROM pgmigration.held_snapshot h JOIN pgmigration.copy_task t USING (migration, database)
            WHERE database = $1 AND t.table_name = 'fast' AND t.kind = 'table' AND t.state = 'completed'`,
        ),
      );
      const before = await lab.queryTarget(database, "SELECT oid FROM pg_database WHERE datname = current_database()");
      await crash();
      await migrated;
      assert.match(await events(), /^the target has crashed, .*: "public"\."fast"; they are copied again$/m);
      const after = await lab.queryTarget(database, "SELECT oid FROM pg_database WHERE datname = current_database()");
      assert.deepEqual(after, before);
      if (migrationMode === "Online") await resource.update({ triggerCutover: true });
      await assertSameContent(...lab.places(database));
    });
  }
});
