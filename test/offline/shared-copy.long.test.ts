import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { CopyHelper } from "../../provider/src/worker/initial-copy/copy-helper";
import { workerJobSchema } from "../../provider/src/worker/context/worker-job";
import { LocalHelpers } from "../../provider/src/worker/context/local-helpers";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { startStartingServer } from "../support/servers/starting-server";
import { until } from "../support/until";

/** Seconds per row on the target until {@link hurry}. Long enough for a process to start meanwhile. */
const rowSeconds = "test.row_seconds";
/** In a string, because a check that visibly depends on a setting would be deferred until after the rows. */
const rest = `SELECT pg_sleep(current_setting(''${rowSeconds}'')::float8)`;

/** Slow tables in two parts each, without a key, so that a part that was copied twice would be detected. */
const tables = 8;
const slowTables = Array.from(
  { length: tables },
  (_, i) => `
      CREATE TABLE t${i} (id int, v text);
      INSERT INTO t${i} SELECT i, repeat('x', 500) FROM generate_series(1, 200) i;
      ALTER TABLE t${i} ADD CHECK (query_to_xml('${rest}', true, true, '') IS NOT NULL) NOT VALID;
      UPDATE pg_constraint SET convalidated = true WHERE conrelid = 't${i}'::regclass;
      CREATE INDEX ON t${i} (id);`,
).join("");

interface TaskRow extends Record<string, unknown> {
  id: number;
  state: string;
  kind: string;
  claimed_by: string | null;
  returned: boolean;
  ended: string | null;
}

describe("a copy shared by several workers", () => {
  let lab: Lab;
  let database: string;
  const workers: ChildProcess[] = [];

  before(async () => {
    lab = await Lab.start({
      source: { parameters: { [rowSeconds]: 0 } },
      target: { parameters: { [rowSeconds]: 0.03 } },
    });
  });
  beforeEach(async () => {
    await lab.target.query(`ALTER SYSTEM RESET ${rowSeconds}`);
    await lab.target.query("SELECT pg_reload_conf()");
    database = await lab.database(slowTables);
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) {
      const exited = once(worker, "exit");
      if (worker.exitCode === null && worker.signalCode === null && worker.kill("SIGKILL")) await exited;
    }
  });
  after(() => lab.stop());

  const inputs = (changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { tableJobs: 1, indexJobs: 1, splitTablesLargerThan: "64kB", ...changes });

  /** Tasks that start from now on take no time. */
  const hurry = async (): Promise<void> => {
    await lab.target.query(`ALTER SYSTEM SET ${rowSeconds} = 0`);
    await lab.target.query("SELECT pg_reload_conf()");
  };

  const tasks = (): Promise<TaskRow[]> =>
    lab.target
      .query<TaskRow>(
        `SELECT id, state, kind, claimed_by, returned, ended_at::text AS ended FROM pgmigration.copy_task
          WHERE database = $1 ORDER BY id`,
        { values: [database] },
      )
      .catch(() => []);

  const leader = async (): Promise<number> => {
    const [row] = await lab.target.query<{ pid: number }>(
      "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration m JOIN pgmigration.database d ON d.migration = m.name WHERE d.name = $1",
      { values: [database] },
    );
    return row!.pid;
  };

  const events = async (): Promise<string> => {
    const rows = await lab.target.query<{ message: string }>(
      "SELECT message FROM pgmigration.event WHERE database = $1 ORDER BY id",
      { values: [database] },
    );
    return rows.map(({ message }) => message).join("\n");
  };

  const pidOf = (claimedBy: string | null): number => Number(claimedBy?.split(":").at(-2));

  /** Waits until some tasks are complete and a matching process runs another. Returns its process ID. */
  const busy = async (which: (pid: number, led: number) => boolean): Promise<number> => {
    let found: number | undefined;
    await until("a matching worker runs a task", async () => {
      const all = await tasks();
      if (all.filter(({ state }) => state === "completed").length < 2) return false;
      const led = await leader();
      const loading = all.find(({ state, claimed_by }) => state === "loading" && which(pidOf(claimed_by), led));
      found = loading && pidOf(loading.claimed_by);
      return found !== undefined;
    });
    return found!;
  };

  const assertSame = () => assertSameContent(...lab.places(database));

  /** Process IDs of all workers that claimed a task. */
  const claimants = async (): Promise<Set<number>> =>
    new Set((await tasks()).map((task) => pidOf(task.claimed_by)).filter((pid) => !Number.isNaN(pid)));

  const shared = (by: number): Promise<void> =>
    until(`${by} workers share the copy`, async () => (await claimants()).size === by);

  const logged = (pattern: RegExp): Promise<void> =>
    until(`an event matches ${pattern.source}`, async () => pattern.test(await events()));

  it("runs each task once, on all workers", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 3 }));
    await shared(3);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const all = await tasks();
    assert.equal(all.filter(({ kind }) => kind === "table").length, tables * 2);
    assert(all.every(({ state, returned }) => state === "completed" && !returned));
    assert.equal((await claimants()).size, 3, "no worker was replaced");
    await assertSame();
    await resource.destroy();
  });

  it("continues when a helper is killed, and repeats only its unfinished tasks", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 2 }));
    const victim = await busy((pid, led) => pid !== led);
    process.kill(victim, "SIGKILL");
    const before = (await tasks()).filter(({ state }) => state === "completed");
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const after = await tasks();
    for (const { id, ended } of before) assert.equal(after.find((task) => task.id === id)?.ended, ended);
    assert(
      after.filter(({ returned }) => returned).length <= 2,
      "more tasks were repeated than one job of each kind had started",
    );
    assert.match(await events(), /a copy helper was lost; .*, [12] were queued again/);
    await assertSame();
    await resource.destroy();
  });

  it("resumes under the same snapshot when the leader is killed", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 2 }));
    const victim = await busy((pid, led) => pid === led);
    process.kill(victim, "SIGKILL");
    const before = (await tasks()).filter(({ state }) => state === "completed");
    await lab.source.query("INSERT INTO t0 VALUES (-1, 'later')", { database });
    await logged(/resuming the copy .* under the same snapshot/);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const after = await tasks();
    for (const { id, ended } of before) assert.equal(after.find((task) => task.id === id)?.ended, ended);
    await lab.source.query("DELETE FROM t0 WHERE id = -1", { database });
    await assertSame();
    await resource.destroy();
  });

  it("leaves no session of a suspended helper after destroy", async () => {
    const wanted = inputs({ workers: 2 });
    const created = Resource.failure(new Resource().create(wanted));
    const helper = await busy((pid, led) => pid !== led);
    process.kill(helper, "SIGSTOP");
    try {
      const other = new Resource();
      other.outputs = wanted;
      await other.destroy();
      for (const server of [lab.source, lab.target])
        await until("its sessions are closed", async () => {
          const ours = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
          return (await server.query(ours)).length === 0;
        });
    } finally {
      process.kill(helper, "SIGCONT");
    }
    assert.match(await created, /was deleted from the target|not recorded/);
    await until("the helper has exited", () => !isAlive(helper));
  });

  it("is run by the leader alone if no process can be started", async () => {
    const helpers = new LocalHelpers(workerJobSchema.parse(inputs()), () => 2, new AbortController().signal);
    // Linux refuses environment strings of more than 128 kB, which fails like a lack of memory.
    process.env.PG_MIGRATION_TEST_TOO_LONG = "x".repeat(200_000);
    try {
      assert.equal(await helpers.during(() => Promise.resolve("copied")), "copied");
    } finally {
      delete process.env.PG_MIGRATION_TEST_TOO_LONG;
    }
  });

  it("is not shared by a worker of another version", async () => {
    const spec = inputs();
    const messages: string[] = [];
    const helper = new CopyHelper(workerJobSchema.parse(spec), (message) => messages.push(message));
    const { id, generation } = { id: "one", generation: 1 };
    const startedAt = new Date().toISOString();
    await helper.share({
      ...{ startedAt, state: "InProgress", hasLeader: true, toCopy: 1, generation, spec: specOf(parseInputs(spec)) },
      comparisons: [],
      copies: [
        {
          ...{
            id,
            generation,
            database,
            engineVersion: "0.0.1",
            snapshotId: "00000003-00000002-1",
            txidSnapshot: "7:7:",
          },
          ...{ sourceSearchPath: "", skipped: [], largeObjectsCopied: false, rowsCopied: false, tablesCopied: false },
        },
      ],
    });
    assert.match(messages.join("\n"), /cannot help: this worker has version .*, the leader another one/);
    assert.equal(helper.holdsSnapshot, false);
    await helper.close();
    await helper.close();
  });

  const startReplicas = ({ migrationName, source, target }: Record<string, unknown>): void => {
    for (let replica = 0; replica < 2; replica++)
      workers.push(
        spawn(process.execPath, [resolve("provider/bin/pg-migration.js"), "worker", "--stay"], {
          env: { PATH: process.env.PATH, PG_MIGRATION_JOB: JSON.stringify({ migrationName, source, target }) },
          stdio: ["ignore", "ignore", "inherit"],
        }),
      );
  };

  it("is shared by replicas of an external runner, and one takes the lead when the other is killed", async () => {
    const spec = inputs({ runner: "external" });
    startReplicas(spec);
    const resource = new Resource();
    const created = resource.create(spec);
    await busy((pid, led) => pid !== led);
    await shared(2);
    assert.deepEqual([...(await claimants())].sort(), workers.map(({ pid }) => pid).sort());
    process.kill(await leader(), "SIGKILL");
    await logged(/resuming (the copy .* under the same snapshot|after the copy of an earlier worker)/);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    await assertSame();
    await resource.destroy();
  });

  it("resumes after an outage of the target under the same snapshot, which a replica held", async () => {
    const spec = inputs({ runner: "external" });
    startReplicas(spec);
    const resource = new Resource();
    const created = resource.create(spec);
    await busy((pid, led) => pid !== led);
    await lab.target.halt();
    const starting = await startStartingServer(lab.target.port);
    await starting.untilAsked(4);
    await starting.stop();
    await lab.target.resume();
    const before = (await tasks()).filter(({ state }) => state === "completed");
    await until("both workers complete further tasks", async () => {
      const since = (await tasks()).filter(
        ({ id, state }) => state === "completed" && !before.some((b) => b.id === id),
      );
      return new Set(since.map((task) => pidOf(task.claimed_by))).size === 2;
    });
    await hurry();
    assert.equal((await created).state, "Succeeded");
    assert(workers.every(({ exitCode }) => exitCode === null));
    const after = await tasks();
    for (const { id, ended } of before) assert.equal(after.find((task) => task.id === id)?.ended, ended);
    await assertSame();
    await resource.destroy();
  });
});
