import assert from "node:assert/strict";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { destroyWhen } from "./destroy-when";

/**
 * Destroys a migration while `create` in another process still waits for it. The check after every test fails if objects
 * remain on a server.
 */
describe("destroying a migration whose worker is stopped", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  it("releases the locks of its copy, which does not resume when the worker wakes", async () => {
    const database = await lab.database(
      // Copying its rows takes 20 s, so that the test sees the copy in progress.
      `CREATE TABLE slow AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 2000) i; CREATE INDEX ON slow (v);
       ALTER TABLE slow ADD CHECK (pg_sleep(0.01) IS NOT NULL) NOT VALID;
       UPDATE pg_constraint SET convalidated = true WHERE conrelid = 'slow'::regclass`,
    );
    const destroyFrozen = async (other: Resource): Promise<void> => {
      const pid = (await other.refresh()).worker.pid!;
      process.kill(pid, "SIGSTOP");
      try {
        await other.destroy();
        for (const server of [lab.source, lab.target])
          await until("its sessions are closed", async () => {
            const ours = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
            return (await server.query(ours)).length === 0;
          });
        await lab.target.query("TRUNCATE slow", { database });
      } finally {
        process.kill(pid, "SIGCONT");
      }
    };
    await destroyWhen(
      lab.inputs([database], { migrationMode: "Online" }),
      "it copies tables",
      (said) => /copying copying tables/.test(said),
      destroyFrozen,
    );
    assert.deepEqual(await lab.target.query("SELECT FROM slow", { database }), []);
  });
});
