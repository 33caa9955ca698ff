import assert from "node:assert/strict";
import { assertSameContent, type Place } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

describe("what stands beside the stream", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16 }, target: { major: 18 } });
  });
  after(() => lab.stop());

  const places = (database: string): [Place, Place] => [
    { server: lab.source, database },
    { server: lab.target, database, login: lab.administrator },
  ];

  for (const keylessTables of ["insertsOnly", "full"] as const)
    it(`24: the source's updates of a table with a deferrable key go on (keylessTables: ${keylessTables})`, async () => {
      const database = await lab.database(
        "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, v int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)",
      );
      const resource = new Resource();
      const status = await resource.create(lab.inputs([database], { migrationMode: "Online", keylessTables }));
      assert.match(JSON.stringify(status.currentSubStateDetails.validationDetails), /public\.t/);
      // In between there are two rows of one key.
      await lab.source.query("INSERT INTO t VALUES (4, 40); UPDATE t SET id = 5 - id", { database });
      if (keylessTables === "full") {
        assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
        await assertSameContent(...places(database));
      } else {
        assert.match(await Resource.failure(resource.update({ triggerCutover: true })), /"public"\."t"/);
      }
      await resource.destroy();
    });

  it("what a trigger has done comes by the stream, also of one that fires in a replica: it waits for the handover", async () => {
    const database = await lab.database(`
      CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (id serial PRIMARY KEY, what text); CREATE TABLE ruled (id int);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.log (what) VALUES (TG_NAME || NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER plain AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
      CREATE TRIGGER always AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE ALWAYS TRIGGER always;
      CREATE TRIGGER replica AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE REPLICA TRIGGER replica;
      CREATE RULE rule AS ON INSERT TO t DO ALSO INSERT INTO ruled VALUES (NEW.id); ALTER TABLE t ENABLE ALWAYS RULE rule;`);
    const resource = new Resource();
    await resource.create(lab.inputs([database], { migrationMode: "Online" }));
    await lab.source.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...places(database));
    const enabled = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1";
    assert.deepEqual(
      await lab.target.query(enabled, { database }),
      await lab.source.query(enabled, { database }),
      "after the cutover they are as on the source",
    );
    await resource.destroy();
  });
});
