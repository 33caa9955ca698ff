import assert from "node:assert/strict";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const urnOf = (stack: string, name: string): string =>
  `urn:pulumi:${stack}::shop::pulumi-nodejs:dynamic/pg-migration:PgMigration::${name}`;

describe("a migration's record and its owner", () => {
  let lab: Lab;
  let database: string;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
  });

  after(() => lab.stop());

  const online = (changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { migrationMode: "Online", ...changes });

  const slots = () => lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");

  async function created(stack: string, name: string, inputs: Record<string, unknown>): Promise<Resource> {
    const resource = new Resource(urnOf(stack, name));
    await resource.create(inputs);
    return resource;
  }

  for (const [replacement, name] of [
    ["a forced replacement", "crm"],
    ["a new resource name", "renamed"],
  ] as const)
    it(`survives ${replacement}: the new resource takes over, and the delete of the old one spares it`, async () => {
      const inputs = online();
      const old = await created("prod", "crm", inputs);
      const { pid } = old.status.worker;
      const fresh = await created("prod", name, inputs);
      await old.destroy();
      assert.equal((await fresh.refresh()).worker.pid, pid, "the worker still runs");
      assert.equal((await slots()).length, 1);
      assert.match(
        fresh.notes.join(),
        /^adopted the migration .* that the resource crm of stack prod \(project shop\) began at 20/,
      );
      assert.match(old.notes.join(), new RegExp(`is not removed: it belongs to the resource ${name} of stack prod`));
      await lab.source.query("INSERT INTO t VALUES (101)", { database });
      assert.equal((await fresh.update({ triggerCutover: true })).state, "Succeeded");
      assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 101);
      await fresh.destroy();
    });

  it("of another resource is neither removed nor taken over with a state that has no token and no URN", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    const { ownershipToken: _token, resourceUrn: _urn, ...outputs } = owner.outputs;
    const former = { ...outputs, __provider: "text" };
    const old = new Resource();
    old.outputs = former;
    old.inputs = { ...owner.inputs, resourceUrn: urnOf("rehearsal", "crm") };
    assert.match(await Resource.failure(old.update({})), /belongs to the resource crm of stack prod/);
    await old.destroy();
    assert.match(old.notes.join(), /is not removed: it belongs to the resource crm of stack prod/);
    assert.equal((await owner.refresh()).worker.state, "running");
    const own = new Resource(owner.urn);
    own.outputs = former;
    own.inputs = owner.inputs;
    assert.equal((await own.update({})).state, "WaitingForUserAction");
    assert.match(
      own.notes.join(),
      /^took over the migration m-\w+ of the resource crm of stack prod \(project shop\)$/,
    );
    await own.destroy();
    assert.equal((await slots()).length, 0);
  });

  it("is refused to another stack, unless its inputs request it", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    const other = new Resource(urnOf("rehearsal", "crm"));
    assert.match(
      await Resource.failure(other.create(inputs)),
      /belongs to the resource crm of stack prod \(project shop\), and is WaitingForUserAction.*onExistingRecord to adopt/s,
    );
    await other.create({ ...inputs, onExistingRecord: "adopt" });
    const seen = await owner.refresh();
    assert.match(
      seen.error ?? "",
      /belongs to the resource crm of stack rehearsal.*Keep the resource crm of stack rehearsal.*its removal would end the migration/s,
    );
    assert.equal((await owner.diff()).changes, true);
    assert.match(
      await Resource.failure(owner.update({})),
      /belongs to the resource crm of stack rehearsal.*Keep the resource crm/s,
    );
    await owner.destroy();
    assert.equal((await slots()).length, 1);
    await other.destroy();
    assert.equal((await slots()).length, 0);
  });

  it("in another maintenance database is that of another migration: neither drops the other's slot", async () => {
    await lab.target.query("CREATE DATABASE other_records");
    await lab.target.query(`ALTER DATABASE other_records OWNER TO ${lab.administrator.user}`);
    const inputs = online();
    const one = await created("prod", "crm", inputs);
    const renamed = { databaseNames: { [database]: `${database}_2` }, maintenanceDatabase: "other_records" };
    const other = await created("rehearsal", "crm", { ...inputs, ...renamed });
    assert.equal((await slots()).length, 2);
    await other.destroy();
    await lab.source.query("INSERT INTO t VALUES (101)", { database });
    assert.equal((await one.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(one.notes, []);
    assert.equal((await lab.target.query("SELECT FROM t", { database })).length, 101);
    await one.destroy();
  });

  it("of an ended migration is refused to a new stack, instead of showing a success without a copy", async () => {
    const inputs = lab.inputs([database]);
    const rehearsal = await created("rehearsal", "crm", inputs);
    const wrong = { ...inputs, source: { ...lab.source.login, password: "nope", sslMode: "Disable" } };
    for (const stack of ["prod", "rehearsal"])
      assert.match(
        await Resource.failure(new Resource(urnOf(stack, "crm")).create(wrong)),
        /has ended \(Succeeded\) .*nothing would be copied.*onExistingRecord to restart/s,
      );
    await lab.source.query("INSERT INTO t VALUES (101)", { database });
    const again = { ...inputs, onExistingRecord: "restart", overwriteDbsInTarget: true };
    const prod = await created("prod", "crm", again);
    assert.deepEqual(
      [prod.status.state, prod.status.currentSubStateDetails.dbDetails[database]?.rowsCopied],
      ["Succeeded", 101],
    );
    assert.match(prod.notes.join(), /erased the record of .*, which had ended as Succeeded, to start it again/);
    await rehearsal.destroy();
    assert.equal((await prod.refresh()).state, "Succeeded");
    await prod.destroy();
  });

  it("is removed by the resource that it names, although the state has only a failure", async () => {
    const owner = await created("prod", "crm", online());
    const { ownershipToken: _token, ...rest } = owner.outputs;
    const other = new Resource();
    other.outputs = { ...rest, resourceUrn: urnOf("rehearsal", "crm"), failure: "refused" };
    await other.destroy();
    assert.equal((await slots()).length, 1);
    owner.outputs = { ...rest, failure: "the target does not answer" };
    await owner.destroy();
    assert.equal((await slots()).length, 0);
    await owner.destroy();
  });

  it("is not removed if another resource adopts the migration while the removal waits for its worker", async () => {
    const owner = await created("prod", "crm", online());
    process.kill(owner.status.worker.pid!, "SIGKILL");
    await until("the lease is free", async () => (await owner.refresh()).worker.state === "lost");
    const busy = await lab.target.connect();
    await busy.query("SELECT pg_advisory_lock(1835624306, hashtext($1))", [owner.inputs.migrationName]);
    const removal = Resource.failure(owner.destroy());
    const request = "SELECT FROM pgmigration.request WHERE kind = 'stop'";
    await until("the removal waits", async () => (await lab.target.query(request)).length > 0);
    await lab.target.query(`UPDATE pgmigration.migration SET owner = owner || '{"token": "other"}'`);
    await busy.end();
    assert.match(await removal, /is not removed: the resource crm of stack prod .* has taken it over/);
    assert.equal((await slots()).length, 1);
    await lab.target.query("UPDATE pgmigration.migration SET owner = owner || $1", {
      values: [JSON.stringify({ token: owner.outputs.ownershipToken })],
    });
    await owner.destroy();
  });

  it("of the command is not removed by a resource whose creation failed", async () => {
    const command = new Resource();
    await command.create(online());
    const failed = new Resource();
    failed.outputs = { ...command.inputs, resourceUrn: urnOf("prod", "crm"), failure: "refused" };
    await failed.destroy();
    assert.equal((await slots()).length, 1);
    await command.destroy();
  });

  it("of a failed migration is not restarted by another stack, which would drop its slot", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    await lab.target.query("UPDATE pgmigration.migration SET state = 'Failed', ended_at = now()");
    const other = new Resource(urnOf("rehearsal", "crm"));
    assert.match(
      await Resource.failure(other.create({ ...inputs, onExistingRecord: "restart" })),
      /belongs to the resource crm of stack prod \(project shop\), and is Failed/,
    );
    assert.equal((await slots()).length, 1);
    assert.equal((await owner.update({})).state, "WaitingForUserAction");
    await owner.destroy();
  });

  it("of a failed migration is not restarted with another source, which would leave the slot on the former one", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    await lab.target.query("UPDATE pgmigration.migration SET state = 'Failed', ended_at = now()");
    const moved = { ...lab.source.login, host: "localhost", sslMode: "Disable" };
    const next = new Resource(urnOf("prod", "crm"));
    const refusal = await Resource.failure(next.create({ ...inputs, source: moved, onExistingRecord: "restart" }));
    assert.match(refusal, /left replication objects or a fence on its former source 127\.0\.0\.1:\d+: db_/);
    assert.match(refusal, /pg-migration delete --name m-/);
    assert.equal((await slots()).length, 1);
    await owner.destroy();
  });

  it("of a running migration is not adopted with a source password that is wrong", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    const wrong = { ...inputs, source: { ...lab.source.login, password: "nope", sslMode: "Disable" } };
    const next = new Resource(urnOf("prod", "renamed"));
    assert.match(await Resource.failure(next.create(wrong)), /password/);
    assert.equal((await owner.refresh()).error, undefined, "the record still belongs to its owner");
    await owner.destroy();
  });

  it("of an ended migration is adopted and reported if Pulumi was killed during create", async () => {
    const inputs = lab.inputs([database]);
    const { create } = await import("../../provider/dist/resource/lifecycle.js");
    const killed = new Resource(urnOf("prod", "crm"));
    await create({ ...(await killed.checked(inputs)) }, () => undefined);
    const next = await created("prod", "crm", inputs);
    assert.equal(next.status.state, "Succeeded");
    assert.match(next.notes.join(), /^adopted .*; it ended as Succeeded at 20.*, and nothing is copied again$/);
    await next.destroy();
  });

  it("is adopted after a lost state only by inputs that copy the same data", async () => {
    const inputs = online();
    const lost = await created("prod", "crm", inputs);
    const other = new Resource(urnOf("prod", "crm"));
    assert.match(
      await Resource.failure(other.create({ ...inputs, exclude: { tables: ["t"] } })),
      /exclude of m-\w+ cannot change: it determines what is copied/,
    );
    await other.create(inputs);
    assert.equal(other.status.worker.pid, lost.status.worker.pid);
    await other.destroy();
  });

  it("belongs to no resource if its owner is damaged, and is adopted on request", async () => {
    const inputs = online();
    const owner = await created("prod", "crm", inputs);
    for (const damaged of ['{"urn": 5}', '{"urn": {}, "token": null, "since": 1}', '"x"', "[]", "5"]) {
      await lab.target.query("UPDATE pgmigration.migration SET owner = $1", { values: [damaged] });
      assert.match((await owner.refresh()).error ?? "", /the migration belongs to the pg-migration command/, damaged);
      assert.match(await Resource.failure(owner.update({})), /belongs to the pg-migration command/, damaged);
    }
    await owner.destroy();
    assert.equal((await slots()).length, 1, "nothing was removed");
    const other = await created("prod", "crm", { ...inputs, onExistingRecord: "adopt" });
    await other.destroy();
    assert.equal((await slots()).length, 0);
  });

  it("follows a resource whose URN changes through an alias", async () => {
    const inputs = online();
    const resource = await created("prod", "crm", inputs);
    await resource.update({ resourceUrn: urnOf("prod", "aliased"), tags: { a: "b" } });
    const other = new Resource(urnOf("rehearsal", "crm"));
    assert.match(await Resource.failure(other.create(inputs)), /belongs to the resource aliased of stack prod/);
    await resource.destroy();
    assert.equal((await slots()).length, 0);
  });
});
