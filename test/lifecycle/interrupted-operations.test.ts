import assert from "node:assert/strict";
import * as lifecycle from "../../provider/dist/resource/lifecycle.js";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const urn = "urn:pulumi:prod::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::crm";

/** Pulumi is killed during an operation: its state is that before the operation, and the records are those after it. */
describe("an interrupted operation", () => {
  let lab: Lab;
  let database: string;
  let resource: Resource;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
    resource = new Resource(urn);
  });

  after(() => lab.stop());

  const online = (changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { migrationMode: "Online", ...changes });

  const rows = async (): Promise<number> => (await lab.target.query("SELECT FROM t", { database })).length;

  async function interrupted(changes: Record<string, unknown>): Promise<void> {
    const { inputs, outputs } = resource;
    await resource.update(changes);
    Object.assign(resource, { inputs, outputs });
  }

  const recordedOwner = async (): Promise<{ isInState: boolean }> => {
    const found = await lab.target.query<{ owner: { isInState: boolean } }>("SELECT owner FROM pgmigration.migration");
    return found[0]!.owner;
  };

  /** What `pulumi destroy` does first. */
  async function destroyOnSource(): Promise<void> {
    process.kill(resource.status.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await resource.refresh()).worker.state === "lost");
    const slots = "SELECT pg_terminate_backend(active_pid), slot_name FROM pg_replication_slots WHERE NOT temporary";
    const [slot] = await lab.source.query<{ slot_name: string }>(slots);
    await until("the slot is free", async () => {
      const dropped = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
      return (await lab.source.query(dropped)).length > 0;
    });
    for (const publication of [slot!.slot_name, `${slot!.slot_name}_ins`])
      await lab.source.query(`DROP PUBLICATION ${publication}`, { database });
    await lab.target.query("UPDATE pgmigration.database SET slot = NULL, publications = '{}'");
  }

  it("that cut over is completed by the next one with the same inputs", async () => {
    await resource.create(online());
    await interrupted({ triggerCutover: true });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await resource.destroy();
  });

  it("that returned to the source is completed by the next one with the same inputs", async () => {
    await resource.create(online({ rollback: "keep", triggerCutover: true }));
    await interrupted({ rollback: "return" });
    assert.equal((await resource.update({ rollback: "return" })).state, "Canceled");
    await resource.destroy();
  });

  it("that destroyed a part: refresh shows what is missing, and the next up copies the database again", async () => {
    await resource.create(online());
    await destroyOnSource();
    await lab.source.query("INSERT INTO t VALUES (101)", { database });
    assert.match(
      (await resource.refresh()).error ?? "",
      /the slot .* is missing on the source.*run pulumi up, which copies/,
    );
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.equal(await rows(), 101);
    await resource.destroy();
  });

  it("that destroyed all but the record has left the database to the user, and the next up does not replace it", async () => {
    await resource.create(online());
    await destroyOnSource();
    await lab.target.query("DROP SCHEMA pgmigration CASCADE; INSERT INTO t VALUES (1000)", { database });
    assert.match(
      await Resource.failure(resource.update({})),
      new RegExp(`${database} on .* may be in use.*drop it on the target and run pulumi up`, "s"),
    );
    assert.equal(await rows(), 101);
    await resource.destroy();
  });

  it("that created after a second attempt is adopted although the migration has ended", async () => {
    const inputs = lab.inputs([database]);
    resource.inputs = await resource.checked(inputs);
    const { outs } = await lifecycle.create(resource.inputs, () => undefined);
    const failed = { ...outs, currentStatus: { ...(outs.currentStatus as object), state: "Failed" } };
    const ignore = (): void => undefined;
    await lifecycle.createAgain(failed, resource.inputs, ignore, ignore);
    assert.equal((await recordedOwner()).isInState, false, "recorded");
    await lab.target.query("DELETE FROM pgmigration.migration");
    await lab.target.query(`DROP DATABASE ${database}`);
    await lifecycle.createAgain(failed, resource.inputs, ignore, ignore);
    assert.equal((await recordedOwner()).isInState, false, "started again");
    const next = new Resource(urn);
    assert.equal((await next.create(inputs)).state, "Succeeded");
    assert.match(next.notes.join(), /^adopted the migration/);
    assert.equal((await recordedOwner()).isInState, true);
    await next.destroy();
  });

  it("that created, and was reported as failed: refresh shows the record if it names this resource", async () => {
    await resource.create(online());
    const { ownershipToken: _token, currentStatus: _status, ...rest } = resource.outputs;
    const failed = new Resource();
    for (const [owner, shown] of [
      [urn, "WaitingForUserAction"],
      [`${urn}-2`, undefined],
    ] as const) {
      failed.outputs = { ...rest, resourceUrn: owner, failure: "the target does not answer" };
      assert.equal(((await failed.refresh()) as { state: string } | undefined)?.state, shown);
    }
    await resource.destroy();
  });
});
