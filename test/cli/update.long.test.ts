import assert from "node:assert/strict";
import type { MigrationStatus } from "../../provider/dist/status.js";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { type Answer, CommandLine } from "./command";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

/** The command changes a migration as the resource does. */
describe("pg-migration update", () => {
  let lab: Lab;
  let command: CommandLine;
  let database: string;
  const undo: (() => Promise<unknown>)[] = [];

  before(async () => {
    // As many slots as the rollback replications need.
    lab = await Lab.start({ target: { parameters: { max_replication_slots: 3 } } });
    command = await CommandLine.in(lab);
  });

  beforeEach(async () => {
    database = await lab.database(table);
  });

  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  after(async () => {
    await command.close();
    await lab.stop();
  });

  /** A migration that is destroyed when its test ends. */
  async function create(databases: readonly string[], changes: Record<string, unknown> = {}): Promise<Resource> {
    const resource = new Resource();
    undo.push(() => resource.destroy());
    await resource.create(lab.inputs(databases, changes));
    return resource;
  }

  const update = ({ inputs }: Resource, ...options: string[]): Promise<Answer> =>
    command.run(["update", "--name", inputs.migrationName as string, ...options]);

  /** Runs an update that must succeed. Returns the status afterwards. */
  async function updated(resource: Resource, ...options: string[]): Promise<MigrationStatus> {
    const { code, stderr } = await update(resource, ...options);
    assert.equal(code, 0, stderr);
    return resource.refresh();
  }

  const statesOf = (resource: Resource, databases: readonly string[]): string[] =>
    databases.map((name) => resource.status.currentSubStateDetails.dbDetails[name]!.migrationState);

  const subStateOf = (status: MigrationStatus): string => status.currentSubStateDetails.currentSubState;

  it("--cutover and --cancel with names concern only these databases", async () => {
    const names = [database, await lab.database(table), await lab.database(table)] as const;
    const resource = await create(names, { migrationMode: "Online" });
    const unknown = await update(resource, "--cutover", "missing");
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /--cutover: missing is not in --databases/);
    await updated(resource, "--cutover", names[0], "--wait");
    assert.deepEqual(statesOf(resource, names), ["Succeeded", "WaitingForCutoverTrigger", "WaitingForCutoverTrigger"]);
    await updated(resource, "--cancel", names[1], "--wait");
    assert.deepEqual(statesOf(resource, names), ["Succeeded", "Canceled", "WaitingForCutoverTrigger"]);
    await updated(resource, "--cutover", names[2], "--wait");
    assert.deepEqual(statesOf(resource, names), ["Succeeded", "Canceled", "Succeeded"]);
    for (const name of [names[0], names[2]])
      await assertSameContent({ server: lab.source, database: name }, { server: lab.target, database: name });
    const slots = await lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal(slots.length, 0);
  });

  it("--cutover --wait returns after the cutover with --rollback keep, and --rollback return ends it", async () => {
    const resource = await create([database], { migrationMode: "Online" });
    const early = await update(resource, "--rollback", "return");
    assert.equal(early.code, 2);
    assert.match(early.stderr, /this migration is not cut over/);
    const { code, stderr } = await update(resource, "--cutover", "--rollback", "keep", "--wait");
    assert.equal(code, 0, stderr);
    const name = resource.inputs.migrationName as string;
    assert.match(stderr, new RegExp(`^Next: pg-migration update --name ${name} --rollback return, or --rollback`, "m"));
    assert.equal(subStateOf(await resource.refresh()), "WaitingForRollbackDecision");
    const canceled = await update(resource, "--cancel");
    assert.equal(canceled.code, 4);
    assert.match(canceled.stderr, new RegExp(`${database} has been cut over; --rollback return, or --rollback drop`));
    await lab.queryTarget(database, "INSERT INTO t VALUES (1000)");
    assert.equal((await updated(resource, "--rollback", "return", "--wait")).state, "Canceled");
    assert.equal((await lab.querySource(database, "SELECT FROM t WHERE id = 1000")).length, 1);
  });

  it("--rollback keep stays when the program changes other inputs, until it changes rollback itself", async () => {
    const resource = await create([database], { migrationMode: "Online" });
    await updated(resource, "--cutover", "--rollback", "keep", "--wait");
    assert.equal(subStateOf(await resource.update({ tags: { a: "b" } })), "WaitingForRollbackDecision");
    assert.match(resource.notes.join(), /rollback stays keep, as the command or the dashboard requested/);
    assert.equal(subStateOf(await resource.update({ triggerCutover: true })), "WaitingForRollbackDecision");
    await resource.update({ rollback: "keep" });
    assert.equal((await resource.update({ rollback: "drop" })).state, "Succeeded");
  });

  it("--rollback drop ends a migration that was cut over", async () => {
    const resource = await create([database], { migrationMode: "Online", rollback: "keep" });
    await updated(resource, "--cutover", "--wait");
    assert.equal(subStateOf(resource.status), "WaitingForRollbackDecision");
    assert.equal((await updated(resource, "--rollback", "drop", "--wait")).state, "Succeeded");
    const slots = await lab.target.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal(slots.length, 0);
  });

  it("--verify-now compares while changes are replicated, and exits with 7 if something differs", async () => {
    const resource = await create([database], { migrationMode: "Online" });
    const { verification } = (await updated(resource, "--verify-now", "--wait")).currentSubStateDetails.dbDetails[
      database
    ]!;
    assert.equal(verification?.state, "equal");
    await lab.queryTarget(database, "DELETE FROM t WHERE id = 7");
    const different = await update(resource, "--verify-now", "--wait");
    assert.equal(different.code, 7, different.stderr);
  });

  it("--cutover-window moves a requested cutover, and none starts it", async () => {
    const resource = await create([database], { migrationMode: "Online" });
    for (const [wrong, expected] of [
      ["2100-02-01T02:00/2100-02-01T05:00 Berlin", /--cutover-window\.timeZone: unknown time zone/],
      ["2100-02-01T02:00", /--cutover-window\.end: /],
    ] as const) {
      const refused = await update(resource, "--cutover-window", wrong);
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, expected);
    }
    const window = ["--cutover-window", "2100-02-01T02:00/2100-02-01T05:00 Europe/Berlin"];
    assert.equal(subStateOf(await updated(resource, "--cutover", ...window, "--wait")), "WaitingForCutoverWindow");
    assert.equal((await updated(resource, "--cutover-window", "none", "--wait")).state, "Succeeded");
  });

  it("ends each wait before the start", async () => {
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const resource = await create([], { waitForConfirmation: true, startDataMigration: false });
    assert.equal(subStateOf(resource.status), "WaitingForDBsToMigrateSpecification");
    const wait = async (...options: string[]): Promise<string> =>
      subStateOf(await updated(resource, ...options, "--wait"));
    assert.equal(await wait("--databases", `${database}*`), "WaitingForTargetDBOverwriteConfirmation");
    const twice = await update(resource, "--databases", "other");
    assert.equal(twice.code, 4);
    assert.match(twice.stderr, new RegExp(`already has its databases: ${database}`));
    assert.equal(await wait("--overwrite"), "WaitingForDataMigrationScheduling");
    const wrong = await update(resource, "--window-start", "soon");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--window-start: give a time in UTC/);
    assert.equal(await wait("--window-start", "2100-01-01T00:00:00Z"), "WaitingForDataMigrationWindow");
    assert.equal(await wait("--window-start", "2020-01-01T00:00:00Z"), "Completed");
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
  });

  it("--max-copy-rate sets and removes the limit of the copy", async () => {
    const resource = await create([database], { startDataMigration: false });
    const recorded = async (): Promise<unknown> => {
      const rows = await lab.target.query(
        "SELECT spec -> 'maxCopyRate' AS rate FROM pgmigration.migration WHERE name = $1",
        {
          values: [resource.inputs.migrationName],
        },
      );
      return rows[0]!.rate;
    };
    await updated(resource, "--max-copy-rate", "50MB");
    assert.equal(await recorded(), 50 * 1024 ** 2);
    const wrong = await update(resource, "--max-copy-rate", "5x");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--max-copy-rate: invalid rate: give bytes per second, at least 64kB/);
    assert.equal(await recorded(), 50 * 1024 ** 2);
    await updated(resource, "--max-copy-rate", "none");
    assert.equal(await recorded(), null);
    assert.equal((await updated(resource, "--start", "--wait")).state, "Succeeded");
  });

  it("--start ends the wait for the start", async () => {
    const resource = await create([database], { startDataMigration: false });
    assert.equal(subStateOf(resource.status), "WaitingForDataMigrationScheduling");
    assert.equal((await updated(resource, "--start", "--wait")).state, "Succeeded");
  });

  it("replaces a lost worker without a cutover of further databases", async () => {
    const names = [database, await lab.database(table)] as const;
    const resource = await create(names, { migrationMode: "Online" });
    await updated(resource, "--cutover", names[0], "--wait");
    process.kill(resource.status.worker.pid!, "SIGKILL");
    await until("the worker is lost", async () => (await resource.refresh()).worker.state === "lost");
    await updated(resource, "--wait");
    assert.deepEqual(statesOf(resource, names), ["Succeeded", "WaitingForCutoverTrigger"]);
    const requests = await lab.target.query("SELECT kind, database FROM pgmigration.request WHERE migration = $1", {
      values: [resource.inputs.migrationName],
    });
    assert.deepEqual(requests, [{ kind: "cutover", database: names[0] }]);
  });

  it("--cancel removes the slot of a failed migration", async () => {
    const resource = await create([database], { migrationMode: "Online" });
    await lab.queryTarget(database, "DELETE FROM t WHERE id = 7");
    await lab.querySource(database, "UPDATE t SET id = 700 WHERE id = 7");
    await until("the migration has failed", async () => (await resource.refresh()).state === "Failed");
    const slots = (): Promise<unknown[]> => lab.source.query("SELECT FROM pg_replication_slots WHERE NOT temporary");
    assert.equal((await slots()).length, 1);
    assert.equal((await updated(resource, "--cancel", "--wait")).state, "Canceled");
    assert.equal((await slots()).length, 0);
  });
});
