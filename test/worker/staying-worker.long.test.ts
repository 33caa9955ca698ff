import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
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

describe("two workers that stay", () => {
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
  it("stands by while another works, and takes over when that is gone; a destroy stops them both", async () => {
    const spec = inputs({ migrationMode: "Online" });
    const both = [start(spec), start(spec)];
    const resource = new Resource();
    const { worker: first } = await resource.create(spec);
    const [working, idle] = both[0]!.child.pid === first.pid ? both : both.reverse();
    assert.equal(working!.child.pid, first.pid);
    await idle!.says(/another worker runs the migration; standing by/);
    working!.child.kill("SIGKILL");
    await idle!.says(/: running the migration\n.*worker generation 2 took over/s);
    await lab.source.query("INSERT INTO t VALUES (1000)", { database });
    const status = await resource.update({ triggerCutover: true });
    assert.deepEqual([status.state, status.worker.pid], ["Succeeded", idle!.child.pid]);
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    await resource.destroy();
    assert.deepEqual(await idle!.exited, [0, null]);
  });
});
