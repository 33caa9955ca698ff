import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { until } from "../../support/until";
import { cutOverAndKeep, rollbackOf } from "./rollback-scene";

describe("rollback replication and excluded tables", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.start();
  });
  after(() => lab.stop());

  it("writes to no excluded table or sequence whose name the owner of another one takes on the target", async () => {
    const database = await lab.database(`
      CREATE TABLE mine (id int PRIMARY KEY, v text); INSERT INTO mine VALUES (1, 'mine');
      CREATE TABLE payroll (id serial PRIMARY KEY, v text); INSERT INTO payroll (v) VALUES ('of another owner')`);
    const resource = await cutOverAndKeep(lab, database, { exclude: { tables: ["public.payroll"] } });
    try {
      await lab.queryTarget(
        database,
        `CREATE SEQUENCE payroll_id_seq; SELECT setval('payroll_id_seq', 5000);
         ALTER TABLE mine RENAME TO payroll; UPDATE payroll SET v = 'changed'; INSERT INTO payroll VALUES (2, 'new')`,
      );
      await until("the rollback replication is paused", async () => {
        const { state, message } = (await rollbackOf(resource, database))!;
        return state === "paused" && /"public"\."payroll", or it is excluded/.test(message!);
      });
      assert.deepEqual(await lab.querySource(database, "SELECT * FROM payroll"), [{ id: 1, v: "of another owner" }]);
      assert.deepEqual(await lab.querySource(database, "SELECT last_value::int FROM payroll_id_seq"), [
        { last_value: 1 },
      ]);
      await resource.update({ rollback: "drop" });
      assert.equal(resource.status.state, "Succeeded");
    } finally {
      await resource.destroy();
    }
  });
});
