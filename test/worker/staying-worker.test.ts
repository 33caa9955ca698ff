import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { stayCommand, stayingWorkers } from "./staying-worker";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("a worker with --stay", () => {
  let lab: Lab;
  let database: string;
  const { start } = stayingWorkers();

  before(async () => {
    lab = await Lab.start();
  });
  beforeEach(async () => {
    database = await lab.database(table);
  });
  after(() => lab.stop());

  const inputs = (changes: Record<string, unknown> = {}) => lab.inputs([database], { runner: "external", ...changes });

  it("waits for its migration, retries after an update, and exits when the migration is deleted", async () => {
    const spec = inputs();
    const worker = start(spec);
    await worker.logs(/waiting until the migration is recorded/);
    const obstacle = `CREATE DATABASE ${database} OWNER ${lab.administrator.user}`;
    await lab.target.query(obstacle);
    const resource = new Resource();
    assert.match(await Resource.failure(resource.create(spec)), /603101/);
    await worker.logs(/the migration ended \(ValidationFailed\); waiting for a new spec/);
    assert.equal(worker.child.exitCode, null);
    const status = await resource.update({ overwriteDbsInTarget: true });
    assert.equal(status.state, "Succeeded");
    assert.equal(status.worker.pid, worker.child.pid);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await worker.exited, [0, null]);
    assert.match(worker.output, /the migration was deleted/);
  });

  it("exits when its running migration is destroyed, and on SIGTERM", async () => {
    const spec = inputs({ migrationMode: "Online" });
    const both = [start(spec), start(spec)];
    const resource = new Resource();
    await resource.create(spec);
    await until("the other worker stands by", () => both.some(({ output }) => /standing by/.test(output)));
    await resource.destroy();
    for (const { exited } of both) assert.deepEqual(await exited, [0, null]);
    const waiting = start(inputs());
    await waiting.logs(/waiting until the migration is recorded/);
    waiting.child.kill("SIGTERM");
    assert.deepEqual(await waiting.exited, [143, null]);
  });

  it("exits with 2 if it gets neither a job nor a job file", () => {
    const { status, stderr } = spawnSync(process.execPath, stayCommand, {
      env: { PATH: process.env.PATH },
      encoding: "utf8",
    });
    assert.equal(status, 2);
    assert.match(stderr, /--stay: .*set PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE/);
  });
});
