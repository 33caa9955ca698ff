import assert from "node:assert/strict";
import { Store } from "../../provider/src/store/store";
import { Lease } from "../../provider/src/store/lease";
import { deleteMigration, insertMigration } from "../../provider/src/store/records";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { TimeoutError } from "../../provider/src/errors";
import { Lab } from "../support/lab";

describe("the store", () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.start();
  });

  after(() => lab.stop());

  const address = (user = lab.administrator) => ({
    target: { ...user, sslMode: "Prefer" as const },
    maintenanceDatabase: "postgres",
  });

  const spec = (name: string) => specOf(parseInputs(lab.inputs(["app"], { migrationName: name })));
  it("waits once for an unreachable target, not once for each statement, and gets the lease again afterwards", async () => {
    const store = await Store.open(address(), "test");
    await insertMigration(store, spec("gone"));
    const lease = await Lease.acquire(address(), "gone");
    lease.reconnectForSeconds = 3;
    await store.close();
    await lab.target.halt();
    try {
      // If each waited in turn, they would take longer than a test may.
      const waiting = Array.from({ length: 120 }, () => assert.rejects(lease.query("SELECT $1, $2"), TimeoutError));
      await Promise.all(waiting);
    } finally {
      await lab.target.resume();
    }
    await lease.query("SELECT $1, $2");
    await lease.release();
    const after = (await Store.find(address(), "test"))!;
    await deleteMigration(after, "gone");
    await after.removeIfEmpty();
    await after.close();
  });
});
