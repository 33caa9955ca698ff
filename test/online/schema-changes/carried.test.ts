import assert from "node:assert/strict";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
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

  it("triggers, rules and policies: are dropped and renamed with those of the source, also after their table is renamed", async () => {
    const database = await lab.database(`
      CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TABLE t (id int PRIMARY KEY, v text); CREATE VIEW seen AS SELECT id FROM t; CREATE VIEW gone AS SELECT v FROM t;
      CREATE TABLE parted (id int, v text) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
      CREATE TRIGGER dropped BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE TRIGGER renamed BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fires(); COMMENT ON TRIGGER renamed ON t IS 'fires';
      CREATE TRIGGER always BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fires(); ALTER TABLE t ENABLE ALWAYS TRIGGER always;
      CREATE TRIGGER one BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION fires(); CREATE TRIGGER two AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE TRIGGER cloned AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE TRIGGER other AFTER UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE TRIGGER viewed INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE RULE dropped AS ON DELETE TO seen DO INSTEAD NOTHING; CREATE RULE renamed AS ON UPDATE TO seen DO INSTEAD NOTHING;
      CREATE RULE disabled AS ON DELETE TO parted DO INSTEAD NOTHING; ALTER TABLE parted DISABLE RULE disabled;
      CREATE RULE kept AS ON UPDATE TO gone DO INSTEAD NOTHING;
      CREATE TRIGGER same AFTER DELETE ON parted FOR EACH ROW EXECUTE FUNCTION fires(); CREATE POLICY same ON parted USING (true);
      CREATE POLICY dropped ON t USING (true); CREATE POLICY renamed ON t USING (id > 0);
      CREATE POLICY altered ON t USING (id > 1); COMMENT ON POLICY altered ON t IS 'hides'; CREATE POLICY back ON t USING (true)`);
    const resource = await lab.follow([database]);
    const parts = `
      SELECT tgrelid::regclass || ' ' || concat(pg_get_triggerdef(oid), tgenabled) || coalesce(obj_description(oid), '') AS part FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT concat(pg_get_ruledef(oid), ev_enabled) FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384 AND ev_class <> coalesce(to_regclass('gone'), 0)
      UNION ALL SELECT polrelid::regclass || ' ' || polname || pg_get_expr(polqual, polrelid) || coalesce(obj_description(oid), '') FROM pg_policy ORDER BY 1`;
    const assertSameParts = async (): Promise<void> =>
      assert.deepEqual(await lab.queryTarget(database, parts), await lab.querySource(database, parts));
    const namesOnTarget = async (): Promise<string> => {
      const [row] = await lab.queryTarget<{ names: string }>(
        database,
        `SELECT string_agg(name, ' ' ORDER BY name) AS names
           FROM (SELECT tgname::text AS name FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT polname FROM pg_policy
                 UNION ALL SELECT rulename FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384) AS part`,
      );
      return row!.names;
    };
    const same = `SELECT oid FROM pg_trigger WHERE tgname = 'same' AND tgrelid = 'parted'::regclass UNION ALL SELECT oid FROM pg_policy WHERE polname = 'same'`;
    const copies = await lab.queryTarget(database, same);
    const isOnTarget = async (name: string): Promise<boolean> => (await namesOnTarget()).split(" ").includes(name);
    await write(
      database,
      `DROP TRIGGER same ON parted; CREATE TRIGGER same AFTER DELETE ON parted FOR EACH ROW EXECUTE FUNCTION fires();
       DROP POLICY same ON parted; CREATE POLICY same ON parted USING (true)`,
      "DROP TRIGGER dropped ON t; DROP RULE dropped ON seen; DROP POLICY dropped ON t; DROP TRIGGER cloned ON parted; DROP VIEW gone",
      `ALTER TRIGGER renamed ON t RENAME TO again; ALTER RULE renamed ON seen RENAME TO again; ALTER POLICY renamed ON t RENAME TO again;
       ALTER TRIGGER one ON t RENAME TO x; ALTER TRIGGER two ON t RENAME TO one; ALTER TRIGGER x ON t RENAME TO two;
       ALTER POLICY altered ON t USING (id > 2); ALTER POLICY back ON t RENAME TO forth`,
      "ALTER TABLE t RENAME TO u",
    );
    await until("the target has the new names", () => isOnTarget("again"));
    await until("the target drops the trigger", async () => !(await isOnTarget("dropped")));
    await write(
      database,
      `ALTER TRIGGER again ON u RENAME TO third; ALTER POLICY forth ON u RENAME TO back; ALTER TABLE u RENAME TO v; ALTER TABLE v DISABLE TRIGGER two;
       DROP TRIGGER always ON v; DROP TRIGGER other ON parted; CREATE TRIGGER other BEFORE UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION fires();
       DROP TRIGGER viewed ON seen; ALTER TABLE parted ENABLE RULE disabled`,
    );
    await until("the target has the third name", () => isOnTarget("third"));
    await write(database, "DROP POLICY back ON v; INSERT INTO v VALUES (1); INSERT INTO parted VALUES (1)");
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameParts();
    assert.equal(await isOnTarget("kept"), true);
    assert.deepEqual(await lab.queryTarget(database, same), copies);
    const refused =
      "SELECT message FROM pgmigration.event WHERE database = $1 AND message LIKE '%could not be carried over%'";
    assert.deepEqual(await lab.target.query(refused, { values: [database] }), []);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
