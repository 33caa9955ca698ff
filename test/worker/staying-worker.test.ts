import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";
const command = [resolve("provider/bin/pg-migration.js"), "worker", "--stay"];

/** `pg-migration worker --stay`, as a container runs it. */
class StayingWorker {
  said = "";
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;

  constructor(job: unknown) {
    this.child = spawn(process.execPath, command, {
      env: { PATH: process.env.PATH, PG_MIGRATION_JOB: JSON.stringify(job) },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.exited = once(this.child, "exit");
    this.child.stderr!.on("data", (chunk: Buffer) => (this.said += chunk.toString()));
  }

  says(what: RegExp): Promise<void> {
    return until(`the worker says ${what.source}`, () => what.test(this.said));
  }
}

describe("a worker that stays", () => {
  let lab: Lab;
  let database: string;
  const workers: StayingWorker[] = [];

  before(async () => {
    lab = await Lab.start();
  });
  beforeEach(async () => {
    database = await lab.database(table);
  });
  afterEach(async () => {
    for (const { child, exited } of workers.splice(0)) {
      child.kill("SIGKILL");
      await exited;
    }
  });
  after(() => lab.stop());

  const inputs = (changes: Record<string, unknown> = {}) => lab.inputs([database], { runner: "external", ...changes });
  const start = ({ migrationName, source, target }: ReturnType<typeof inputs>): StayingWorker => {
    const worker = new StayingWorker({ migrationName, source, target });
    workers.push(worker);
    return worker;
  };

  it("waits for its migration, tries again when an update asks for that, and ends with the migration's deletion", async () => {
    const spec = inputs();
    const worker = start(spec);
    await worker.says(/waiting until the migration is recorded/);
    const obstacle = `CREATE DATABASE ${database} OWNER ${lab.administrator.user}`;
    await lab.target.query(obstacle);
    const resource = new Resource();
    assert.match(await Resource.failure(resource.create(spec)), /603101/);
    await worker.says(/the migration ended \(ValidationFailed\); waiting for a new spec/);
    assert.equal(worker.child.exitCode, null);
    const status = await resource.update({ overwriteDbsInTarget: true });
    assert.equal(status.state, "Succeeded");
    assert.equal(status.worker.pid, worker.child.pid);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await worker.exited, [0, null]);
    assert.match(worker.said, /the migration was deleted/);
  });
  it("gives a migration up that is destroyed under way, and ends when it is told to", async () => {
    const spec = inputs({ migrationMode: "Online" });
    const both = [start(spec), start(spec)];
    const resource = new Resource();
    await resource.create(spec);
    await until("the other stands by", () => both.some(({ said }) => /standing by/.test(said)));
    await resource.destroy();
    for (const { exited } of both) assert.deepEqual(await exited, [0, null]);
    const waiting = start(inputs());
    await waiting.says(/waiting until the migration is recorded/);
    waiting.child.kill("SIGTERM");
    assert.deepEqual(await waiting.exited, [0, null]);
  });

  it("exits with 2 if it gets neither a job nor a job file", () => {
    const { status, stderr } = spawnSync(process.execPath, command, {
      env: { PATH: process.env.PATH },
      encoding: "utf8",
    });
    assert.equal(status, 2);
    assert.match(stderr, /--stay: .*set PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE/);
  });
});
