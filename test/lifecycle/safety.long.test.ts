import assert from "node:assert/strict";
import { startAzureLikeServer } from "../support/servers/azure-like";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";

/** Scenarios in which data must not be dropped, overwritten or cut off. */
describe("a migration", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const schema = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')";

  it("does not replace a database or its rows while another migration replicates into it", async () => {
    const database = await lab.database(schema);
    const login = lab.administrator;
    await lab.target.query("CREATE DATABASE other_records", { login });
    const replicating = await lab.follow([database]);
    for (const changes of [
      { migrationOption: "Migrate" },
      { migrationOption: "Migrate", dataOnly: true },
      { dataOnly: true },
      { maintenanceDatabase: "other_records" },
    ]) {
      const second = new Resource();
      const text = await Resource.failure(
        second.create(lab.inputs([database], { overwriteDbsInTarget: true, ...changes })),
      );
      assert.match(text, new RegExp(`migration .* uses ${database} on this target`), JSON.stringify(changes));
      await second.destroy();
    }
    await lab.source.query("INSERT INTO t VALUES (2, 'two')", { database });
    assert.equal((await replicating.update({ triggerCutover: true })).state, "Succeeded");
    assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 2);
    await replicating.destroy();
    await lab.target.query("DROP DATABASE other_records", { login });
  });

  it("can run to two targets from one source with the same name", async () => {
    const { server, administrator } = await startAzureLikeServer({ major: 16 });
    try {
      const database = await lab.database(schema);
      const inputs = lab.inputs([database], { migrationMode: "Online" });
      const [one, other] = [new Resource(), new Resource()];
      await one.create(inputs);
      await other.create({ ...inputs, target: administrator });
      await lab.source.query("INSERT INTO t VALUES (2, 'two')", { database });
      await other.destroy();
      assert.equal((await one.update({ triggerCutover: true })).state, "Succeeded");
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
      await one.destroy();
    } finally {
      await server.stop();
    }
  });
});
