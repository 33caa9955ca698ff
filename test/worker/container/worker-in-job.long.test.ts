import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { rowSeconds, setRowSeconds, slowTables } from "./slow-tables";
import { until } from "../../support/until";
import { type StayingWorker, stayingWorkers } from "../staying-worker";

interface Task extends Record<string, unknown> {
  readonly id: number;
  readonly state: string;
  readonly claimed_by: string | null;
  readonly ended: string | null;
}

describe("a worker in a Job", () => {
  let lab: Lab;
  const { start: startWorker } = stayingWorkers();

  before(async () => {
    lab = await Lab.start({
      source: { parameters: { [rowSeconds]: 0 } },
      target: { parameters: { [rowSeconds]: 0.02 } },
    });
  });
  after(() => lab.stop());

  const start = (spec: Record<string, unknown>, environment?: Readonly<Record<string, string>>): StayingWorker =>
    startWorker(spec, ["--wait", "--http", "0"], environment);
  const tasks = (database: string): Promise<Task[]> =>
    lab.target
      .query<Task>(
        `SELECT id, state, claimed_by, ended_at::text AS ended FROM pgmigration.copy_task
          WHERE database = $1 AND kind = 'table' ORDER BY id`,
        { values: [database] },
      )
      .catch(() => []);
  const status = async (worker: StayingWorker, path: string): Promise<number> =>
    (await fetch(`${await worker.url()}${path}`)).status;

  it("hands its snapshot and its claims over when SIGTERM stops it, and the other one resumes the copy", async () => {
    const database = await lab.database(slowTables(6));
    const spec = lab.inputs([database], { runner: "external", tableJobs: 1, splitTablesLargerThan: "64kB" });
    const both = [start(spec), start(spec)];
    const resource = new Resource();
    const created = resource.create(spec);
    const isClaimedBy = ({ child }: StayingWorker, { state, claimed_by }: Task): boolean =>
      state === "loading" && Number(claimed_by?.split(":").at(-2)) === child.pid;
    await until("both copy, and a table is complete", async () => {
      const all = await tasks(database);
      const areBusy = both.every((worker) => all.some((task) => isClaimedBy(worker, task)));
      return areBusy && all.some(({ state }) => state === "completed");
    });
    const [row] = await lab.target.query<{ pid: number }>(
      "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE name = $1",
      { values: [spec.migrationName] },
    );
    const leader = both.find(({ child }) => child.pid === row!.pid)!;
    const successor = both.find((one) => one !== leader)!;
    leader.child.kill("SIGTERM");
    assert.deepEqual(await leader.exited, [143, null]);
    const atStop = await tasks(database);
    assert(
      atStop.some(({ state }) => state !== "completed"),
      "the copy was complete before the worker stopped",
    );
    await until("its claims are released", async () =>
      (await tasks(database)).every((task) => !isClaimedBy(leader, task)),
    );
    await successor.logs(/resuming the copy .* under the same snapshot/);
    await setRowSeconds(lab, 0);
    const end = await created;
    assert.deepEqual([end.state, end.worker.pid], ["Succeeded", successor.child.pid]);
    assert.deepEqual(await successor.exited, [0, null]);
    const afterwards = await tasks(database);
    for (const { id, ended } of atStop.filter(({ state }) => state === "completed"))
      assert.equal(afterwards.find((task) => task.id === id)?.ended, ended, "a complete table was copied again");
    await assertSameContent(...lab.places(database));

    const late = start(spec);
    assert.deepEqual(await late.exited, [0, null]);
    assert.match(late.output, /the migration ended \(Succeeded\)/);
    await resource.destroy();
  });

  it("exits with the code of the migration's result, and can be started again after a failure", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const spec = lab.inputs([database], { runner: "external" });
    const worker = start(spec);
    const resource = new Resource();
    await Resource.failure(resource.create(spec));
    assert.deepEqual(await worker.exited, [6, null]);
    const again = start(spec);
    assert.equal((await resource.update({ overwriteDbsInTarget: true })).state, "Succeeded");
    assert.deepEqual(await again.exited, [0, null]);
    await resource.destroy();
  });

  it("is ready while the target answers, also before the migration is recorded", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    const spec = lab.inputs([database], { runner: "external", migrationMode: "Online" });
    const worker = start(spec);
    assert.equal(await status(worker, "/readyz"), 200);
    assert.equal(await status(worker, "/healthz"), 200);
    const resource = new Resource();
    await resource.create(spec);
    const lag = new RegExp(`pg_migration_lag_bytes\\{.*database="${database}"\\} \\d`);
    await until("the lag is measured", async () => {
      const metrics = await (await fetch(`${await worker.url()}/metrics`)).text();
      assert.match(metrics, /pg_migration_worker_running\{migration="m-\w+"\} 1\n/);
      return lag.test(metrics);
    });
    await lab.target.halt();
    try {
      await until("it is no longer ready", async () => (await status(worker, "/readyz")) === 503);
      assert.equal(await status(worker, "/metrics"), 503);
      assert.equal(await status(worker, "/healthz"), 200, "an engine must not kill a worker that waits for its target");
    } finally {
      await lab.target.resume();
    }
    await until("it is ready again", async () => (await status(worker, "/readyz")) === 200);
    await resource.destroy();
    assert.deepEqual(await worker.exited, [0, null]);
  });

  it("reads passwords from mounted files, and logs neither them nor their paths' content", async () => {
    const directory = await mkdtemp(join(tmpdir(), "pg-migration-test-"));
    try {
      const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
      const spec = lab.inputs([database], { runner: "external" });
      const withFile = async (side: "source" | "target"): Promise<Record<string, unknown>> => {
        const { password, ...server } = spec[side] as Record<string, string>;
        const passwordFile = join(directory, side);
        await writeFile(passwordFile, `${password!}\n`);
        return { ...server, passwordFile };
      };
      const { migrationName } = spec;
      const job = { migrationName, source: await withFile("source"), target: await withFile("target") };
      const jobFile = join(directory, "job.json");
      await writeFile(jobFile, JSON.stringify(job));
      const worker = start(spec, { PG_MIGRATION_JOB_FILE: jobFile, PG_MIGRATION_LOG_FORMAT: "json" });
      const resource = new Resource();
      assert.equal((await resource.create(spec)).state, "Succeeded");
      assert.deepEqual(await worker.exited, [0, null]);
      await assertSameContent(...lab.places(database));
      const lines = worker.output.trimEnd().split("\n");
      const logged = lines.map((line) => JSON.parse(line) as { level: string; message: string; migration?: string });
      assert(logged.every(({ level, message }) => level !== "" && message !== ""));
      assert(logged.some(({ migration }) => migration === migrationName));
      await resource.destroy();

      await rm(join(directory, "source"));
      const broken = start(spec, { PG_MIGRATION_JOB_FILE: jobFile });
      assert.deepEqual(await broken.exited, [2, null]);
      assert.match(broken.output, /source\.passwordFile: cannot read the file: ENOENT/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
