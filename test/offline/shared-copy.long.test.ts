import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseInputs } from "../../provider/src/inputs/check-inputs";
import { specOf } from "../../provider/src/inputs/inputs";
import { CopyHelper } from "../../provider/src/worker/initial-copy/copy-helper";
import { workerJobSchema } from "../../provider/src/worker/context/worker-job";
import { LocalCopyHelpers } from "../../provider/src/worker/run/local-copy-helpers";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";

/** What each row takes on the target, until {@link hurry}: long enough for a process to start meanwhile. */
const rowSeconds = "test.row_seconds";
/** As a text: a check that is seen to change with a setting would be kept back until the rows are there. */
const rest = `SELECT pg_sleep(current_setting(''${rowSeconds}'')::float8)`;

/** Tables whose rows come slowly, in two parts each, without a key: a part that came twice would stay. */
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

interface UnitRow extends Record<string, unknown> {
  id: number;
  state: string;
  kind: string;
  claimed_by: string | null;
  returned: boolean;
  ended: string | null;
}

describe("a copy that several workers share", () => {
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

  /** From now on a unit that begins takes no time. */
  const hurry = async (): Promise<void> => {
    await lab.target.query(`ALTER SYSTEM SET ${rowSeconds} = 0`);
    await lab.target.query("SELECT pg_reload_conf()");
  };

  const units = (): Promise<UnitRow[]> =>
    lab.target
      .query<UnitRow>(
        `SELECT id, state, kind, claimed_by, returned, ended_at::text AS ended FROM pgmigration.unit
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

  /** Once some units are complete, and this one of the processes is at work on another: its number. */
  const busy = async (which: (pid: number, led: number) => boolean): Promise<number> => {
    let found: number | undefined;
    await until("a worker of the wanted kind is in the middle of a unit", async () => {
      const all = await units();
      if (all.filter(({ state }) => state === "completed").length < 2) return false;
      const led = await leader();
      const loading = all.find(({ state, claimed_by }) => state === "loading" && which(pidOf(claimed_by), led));
      found = loading && pidOf(loading.claimed_by);
      return found !== undefined;
    });
    return found!;
  };

  const assertSame = () => assertSameContent(...lab.places(database));

  /** Each worker's process, by what it has claimed. */
  const claimants = async (): Promise<Set<number>> =>
    new Set((await units()).map((unit) => pidOf(unit.claimed_by)).filter((pid) => !Number.isNaN(pid)));

  const shared = (by: number): Promise<void> =>
    until(`${by} workers share it`, async () => (await claimants()).size === by);

  const told = (what: RegExp): Promise<void> => until(`it tells ${what.source}`, async () => what.test(await events()));

  it("is done by all of them, each unit once", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 3 }));
    await shared(3);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const all = await units();
    assert.equal(all.filter(({ kind }) => kind === "table").length, tables * 2);
    assert(all.every(({ state, returned }) => state === "completed" && !returned));
    assert.equal((await claimants()).size, 3, "and a worker more came in nobody's stead");
    await assertSame();
    await resource.destroy();
  });

  it("goes on when one of them is killed: only what that had begun is done again", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 2 }));
    const victim = await busy((pid, led) => pid !== led);
    process.kill(victim, "SIGKILL");
    const before = (await units()).filter(({ state }) => state === "completed");
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const after = await units();
    for (const { id, ended } of before) assert.equal(after.find((unit) => unit.id === id)?.ended, ended);
    assert(
      after.filter(({ returned }) => returned).length <= 2,
      "more was repeated than one job of each kind had begun",
    );
    assert.match(await events(), /a worker that shared the copy is gone: [12] of its units are done again/);
    await assertSame();
    await resource.destroy();
  });

  it("goes on under the same snapshot when the one that leads is killed", async () => {
    const resource = new Resource();
    const created = resource.create(inputs({ workers: 2 }));
    const victim = await busy((pid, led) => pid === led);
    process.kill(victim, "SIGKILL");
    const before = (await units()).filter(({ state }) => state === "completed");
    await lab.source.query("INSERT INTO t0 VALUES (-1, 'later')", { database });
    await told(/going on with the copy .* under the same snapshot/);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    const after = await units();
    for (const { id, ended } of before) assert.equal(after.find((unit) => unit.id === id)?.ended, ended);
    await lab.source.query("DELETE FROM t0 WHERE id = -1", { database });
    await assertSame();
    await resource.destroy();
  });

  it("leaves no session of a process that shares it when it is destroyed, and of one that is stopped neither", async () => {
    const wanted = inputs({ workers: 2 });
    const created = Resource.failure(new Resource().create(wanted));
    const helper = await busy((pid, led) => pid !== led);
    process.kill(helper, "SIGSTOP");
    try {
      const other = new Resource();
      other.outputs = wanted;
      await other.destroy();
      for (const server of [lab.source, lab.target])
        await until("no session is left of it", async () => {
          const ours = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg-migration %'";
          return (await server.query(ours)).length === 0;
        });
    } finally {
      process.kill(helper, "SIGCONT");
    }
    assert.match(await created, /was deleted from the target|not recorded/);
    await until("the process that has shared it has ended", () => !isAlive(helper));
  });

  it("is led alone where the machine has no room for other processes", async () => {
    const helpers = new LocalCopyHelpers(workerJobSchema.parse(inputs()), () => 2, new AbortController().signal);
    // Linux takes no string of more than 128 kB: what it says at once, as where memory for a process is missing.
    process.env.PG_MIGRATION_TEST_TOO_LONG = "x".repeat(200_000);
    try {
      assert.equal(await helpers.during(() => Promise.resolve("copied")), "copied");
    } finally {
      delete process.env.PG_MIGRATION_TEST_TOO_LONG;
    }
  });

  it("is not shared by a worker of another version", async () => {
    const spec = inputs();
    const said: string[] = [];
    const helper = new CopyHelper(workerJobSchema.parse(spec), (sentence) => said.push(sentence));
    const { id, generation } = { id: "one", generation: 1 };
    const startedAt = new Date().toISOString();
    await helper.share({
      ...{ startedAt, state: "InProgress", hasLeader: true, toCopy: 1, generation, spec: specOf(parseInputs(spec)) },
      copies: [
        {
          ...{ id, generation, database, engineVersion: "0.0.1", snapshotId: "00000003-00000002-1", moment: "7:7:" },
          ...{ sourceSearchPath: "", skipped: [], largeObjectsCopied: false, tablesCopied: false },
        },
      ],
    });
    assert.match(said.join("\n"), /shares no copy that another version leads/);
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

  it("is shared by replicas of an external runner, and one leads on when the other is killed", async () => {
    const spec = inputs({ runner: "external" });
    startReplicas(spec);
    const resource = new Resource();
    const created = resource.create(spec);
    await busy((pid, led) => pid !== led);
    await shared(2);
    assert.deepEqual([...(await claimants())].sort(), workers.map(({ pid }) => pid).sort());
    process.kill(await leader(), "SIGKILL");
    await told(/going on with (the copy .* under the same snapshot|what the worker before has left)/);
    await hurry();
    assert.equal((await created).state, "Succeeded");
    await assertSame();
    await resource.destroy();
  });

  it("goes on under the same snapshot when the target is back, which a replica has kept", async () => {
    const spec = inputs({ runner: "external" });
    startReplicas(spec);
    const resource = new Resource();
    const created = resource.create(spec);
    await busy((pid, led) => pid !== led);
    await lab.target.halt();
    await sleep(1200);
    await lab.target.resume();
    const before = (await units()).filter(({ state }) => state === "completed");
    await until("both go on to share it", async () => {
      const since = (await units()).filter(
        ({ id, state }) => state === "completed" && !before.some((b) => b.id === id),
      );
      return new Set(since.map((unit) => pidOf(unit.claimed_by))).size === 2;
    });
    await hurry();
    assert.equal((await created).state, "Succeeded");
    assert(workers.every(({ exitCode }) => exitCode === null));
    const after = await units();
    for (const { id, ended } of before) assert.equal(after.find((unit) => unit.id === id)?.ended, ended);
    await assertSame();
    await resource.destroy();
  });
});
