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
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.exited = once(this.child, "exit");
    this.child.stdout!.on("data", (chunk: Buffer) => (this.said += chunk.toString()));
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
    const wish = inputs();
    const worker = start(wish);
    await worker.says(/waits until the migration is recorded/);
    const obstacle = `CREATE DATABASE ${database} OWNER ${lab.administrator.user}`;
    await lab.target.query(obstacle);
    const resource = new Resource();
    assert.match(await Resource.failure(resource.create(wish)), /603101/);
    await worker.says(/has ended as ValidationFailed; waits for another wish/);
    assert.equal(worker.child.exitCode, null);
    const status = await resource.update({ overwriteDbsInTarget: true });
    assert.equal(status.state, "Succeeded");
    assert.equal(status.worker.pid, worker.child.pid);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await worker.exited, [0, null]);
    assert.match(worker.said, /is deleted; nothing is left to do/);
  });

  it("stands by while another works, and takes over when that is gone; a destroy stops them both", async () => {
    const wish = inputs({ migrationMode: "Online" });
    const both = [start(wish), start(wish)];
    const resource = new Resource();
    const { worker: first } = await resource.create(wish);
    const [working, idle] = both[0]!.child.pid === first.pid ? both : both.reverse();
    assert.equal(working!.child.pid, first.pid);
    await idle!.says(/another worker is at work; stands by/);
    working!.child.kill("SIGKILL");
    await idle!.says(/: works\n.*worker of generation 2 has taken over/s);
    await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    const status = await resource.update({ triggerCutover: true });
    assert.deepEqual([status.state, status.worker.pid], ["Succeeded", idle!.child.pid]);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await idle!.exited, [0, null]);
  });

  it("gives a migration up that is destroyed under way, and ends when it is told to", async () => {
    const wish = inputs({ migrationMode: "Online" });
    const both = [start(wish), start(wish)];
    const resource = new Resource();
    await resource.create(wish);
    await until("the other stands by", () => both.some(({ said }) => /stands by/.test(said)));
    await resource.destroy();
    for (const { exited } of both) assert.deepEqual(await exited, [0, null]);
    const waiting = start(inputs());
    await waiting.says(/waits until the migration is recorded/);
    waiting.child.kill("SIGTERM");
    assert.deepEqual(await waiting.exited, [0, null]);
  });

  it("has to be told what to do", () => {
    const { status, stderr } = spawnSync(process.execPath, command, {
      env: { PATH: process.env.PATH },
      encoding: "utf8",
    });
    assert.equal(status, 2);
    assert.match(stderr, /--stay: .*give PG_MIGRATION_JOB or PG_MIGRATION_JOB_FILE/);
  });
});
