import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";

describe("a followed database whose schema change cannot be applied", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start({ source: { major: 16, parameters: { log_connections: "on" } } });
  });
  after(() => lab.stop());

  it("a refusal of the target: is reported once, although it is retried", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const resource = await lab.follow([database]);
    // Only a superuser may create a base type.
    await lab.source.query(
      `CREATE TYPE alien;
       CREATE FUNCTION alien_in(cstring) RETURNS alien LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
       CREATE FUNCTION alien_out(alien) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
       CREATE TYPE alien (INPUT = alien_in, OUTPUT = alien_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
       ALTER TABLE t ADD COLUMN a alien`,
      { database },
    );
    const refusals = (): Promise<{ message: string }[]> =>
      lab.target.query<{ message: string }>(
        "SELECT message FROM pgmigration.event WHERE migration = $1 AND level = 'warning' ORDER BY id",
        { values: [resource.inputs.migrationName] },
      );
    const dumps = async (): Promise<number> =>
      (await lab.source.log()).split(`database=${database} application_name=pg-migration dump version`).length - 1;
    await until("the refusal is reported", async () => (await refusals()).length >= 2);
    const before = await dumps();
    await until("the restore was retried twice", async () => (await dumps()) >= before + 2);
    const [refusal, consequence, ...more] = (await refusals()).map(({ message }) => message);
    assert.match(refusal!, /objects that new columns may need are missing on the target: .*alien/s);
    assert.match(consequence!, /the source's schema could not be compared: .*alien/s);
    assert.deepEqual(more, []);
    await resource.destroy();
  });
});
