import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "pg";
import { parseInputs } from "../../provider/dist/inputs/check-inputs.js";
import { specOf } from "../../provider/dist/inputs/inputs.js";
import { deleteMigration, insertMigration } from "../../provider/dist/store/records.js";
import { withStore } from "../../provider/dist/store/store.js";
import { assertSameContent } from "../support/content";
import { CommandLine } from "../cli/command";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { PoolProcess } from "./pool-process";

const table =
  "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 2000) i";

describe("a pool of workers", () => {
  let lab: Lab;
  let command: CommandLine;
  const pools: PoolProcess[] = [];
  const resources: Resource[] = [];
  const undo: (() => Promise<void>)[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });
  afterEach(async () => {
    for (const step of undo.splice(0)) await step();
    for (const pool of pools.splice(0)) await pool.killAll();
    for (const resource of resources.splice(0)) await resource.destroy();
  });
  after(async () => {
    await command.close();
    await lab.stop();
  });

  const start = (...options: string[]): PoolProcess => {
    const pool = new PoolProcess(options, command.environment);
    pools.push(pool);
    return pool;
  };

  /** One entry is wrong, and one target does not answer. */
  const targetList = (): Promise<string> => {
    const { host, port } = lab.administrator;
    return command.file("targets.csv", `name,host,port\nmain,${host},${port}\nclosed,127.0.0.1,1\nbroken,127.0.0.1\n`);
  };

  const create = (inputs: Record<string, unknown>): Promise<unknown> => {
    const resource = new Resource();
    resources.push(resource);
    return resource.create({ runner: "external", ...inputs });
  };

  /** Repeats a check until `stop`, in one session with each server: a new one for each check would take CPU from the tested code. */
  async function observe(
    pauseMs: number,
    check: (source: Client, target: Client) => Promise<void>,
  ): Promise<() => Promise<void>> {
    const sessions = [await lab.source.connect(), await lab.target.connect()] as const;
    let isOver = false;
    const observed = (async () => {
      while (!isOver) {
        await check(...sessions);
        await delay(pauseMs);
      }
    })();
    return async () => {
      isOver = true;
      try {
        await observed;
      } finally {
        for (const session of sessions) await session.end();
      }
    };
  }

  /** Databases whose tables are copied now. The source has sent a small table long before its copy ends. */
  const copying = async (target: Client): Promise<string[]> => {
    const { rows } = await target.query<{ datname: string }>(
      "SELECT DISTINCT datname FROM pg_stat_activity WHERE state = 'active' AND query ILIKE '%; COPY %' AND application_name LIKE 'pg-migration %'",
    );
    return rows.map(({ datname }) => datname);
  };

  it("serves new migrations within its budgets, replaces a killed member, and drains on SIGTERM", async () => {
    const list = await targetList();
    const databases: string[] = [];
    for (let i = 0; i < 3; i++) databases.push(await lab.database(table));
    const options = ["--targets", list, "--source-copies", "1", "--target-copies", "2"];
    const members = [start(...options), start(...options)];
    const idle = members[0]!;
    await idle.logs(/the list of targets has wrong entries: targets\.csv:4: 2 cells/);
    await idle.logs(/closed is skipped: .*ECONNREFUSED/);
    // 1.3 MB: a copy takes 8 s.
    const created = databases.map((database) => create(lab.inputs([database], { maxCopyRate: "160kB" })));
    const tooMany: string[][] = [];
    const killed: string[] = [];
    let seen: string[] = [];
    const stop = await observe(100, async (_source, target) => {
      seen = await copying(target);
      const now = seen.filter((database) => !killed.includes(database));
      if (now.length > 1) tooMany.push(now);
    });
    undo.push(stop);
    await until("a database is copied", () => seen.length > 0);
    killed.push(...seen);
    const victim = members.find(({ output }) => output.includes(`[${killed.join()}] 4 schema entries`))!;
    const survivor = members.find((member) => member !== victim)!;
    await victim.killAll();
    await Promise.all(created);
    await undo.pop()!();
    assert.deepEqual(tooMany, [], "one copy of the source at a time");
    for (const database of databases)
      await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.match(survivor.output, /waiting for one of 1 copies of/);
    survivor.child.kill("SIGTERM");
    assert.deepEqual(await survivor.exited, [0, null]);
  });

  it("hands a running migration over to another member when it is stopped", async () => {
    const list = await targetList();
    const database = await lab.database(table);
    const first = start("--targets", list, "--http", "0");
    const created = create(lab.onlineInputs([database], { migrationName: "handed-over" }));
    await created;
    await first.logs(/main\/handed-over: starts worker/);
    assert.equal(await first.get("/readyz"), "200 ready\n");
    const metrics = await first.get("/metrics");
    for (const line of [
      'pg_migration_worker_running{target="main",migration="handed-over"} 1',
      "pg_migration_pool_targets 2",
      "pg_migration_pool_targets_unreachable 1",
      "pg_migration_pool_workers 1",
      "pg_migration_pool_migrations_waiting 0",
    ])
      assert(metrics.includes(`\n${line}\n`), `${line} in ${metrics}`);
    const second = start("--targets", list);
    first.child.kill("SIGTERM");
    assert.deepEqual(await first.exited, [0, null]);
    await second.logs(/handed-over: worker generation 2 took over/);
    await resources[0]!.update({ triggerCutover: true });
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    assert.match(first.output, /the pool stops 1 workers/);
  });

  it("cuts over in the window although Pulumi has ended and the pool process was killed meanwhile", async () => {
    const list = await targetList();
    const database = await lab.database(table);
    const first = start("--targets", list);
    await create(
      lab.onlineInputs([database], {
        ...{ migrationName: "in-window", triggerCutover: true },
        cutoverWindow: { start: "2100-01-01T00:00", end: "2100-01-02T00:00" },
      }),
    );
    const { currentSubStateDetails } = await resources[0]!.refresh();
    assert.equal(currentSubStateDetails.currentSubState, "WaitingForCutoverWindow");
    await first.killAll();
    const second = start("--targets", list);
    await second.logs(/in-window: worker generation 2 took over/);
    const opensAt = new Date(Date.now() + 2000).toISOString();
    await resources[0]!.update({ cutoverWindow: { start: opensAt, end: "2100-01-01T00:00" }, waitFor: "started" });
    await until("it is cut over", async () => (await resources[0]!.refresh()).state === "Succeeded");
    const [ended] = await lab.target.query<{ inTime: boolean }>(
      'SELECT ended_at >= $1 AS "inTime" FROM pgmigration.database WHERE name = $2',
      { values: [opensAt, database] },
    );
    assert.deepEqual(ended, { inTime: true });
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
  });

  it("reads the metrics of all migrations of a target through one session, and starts workers meanwhile", async () => {
    const pool = start("--targets", await targetList(), "--http", "0");
    for (const migrationName of ["one", "two", "three"])
      await create(lab.onlineInputs([await lab.database(table)], { migrationName }));
    const running = async (): Promise<number> =>
      ((await pool.get("/metrics")).match(/^pg_migration_worker_running\{.*\} 1$/gm) ?? []).length;
    await until("all have metrics", async () => (await running()) === 3);
    const another = { ...lab.inputs(["absent"], { migrationName: "another" }), runner: "external" };
    const inputs = parseInputs(another);
    undo.push(() => withStore(inputs, "test", (store) => deleteMigration(store, "another")));
    const obstacle = await lab.target.connect();
    await withStore(inputs, "test", async (store) => {
      // Part of a status, but not of the search for migrations.
      await obstacle.query("BEGIN; LOCK TABLE pgmigration.finding IN ACCESS EXCLUSIVE MODE");
      let isAnswered = false;
      const scrape = pool.get("/metrics").finally(() => (isAnswered = true));
      let most = 0;
      while (!isAnswered) {
        const [row] = await lab.target.query<{ count: number }>(
          "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'pg-migration pool metrics'",
        );
        most = Math.max(most, row!.count);
        await delay(50);
      }
      assert.match(await scrape, /^200 /, "a target that does not answer prevents no answer");
      assert.equal(most, 1);
      await insertMigration(store, specOf(inputs));
      await pool.logs(/main\/another: starts worker/);
      assert.doesNotMatch(pool.output, /main is skipped/);
    }).finally(() => obstacle.end());
    await pool.logs(/main\/another: the worker ended/);
    await until("all have metrics again", async () => (await running()) === 3);
  });

  it("opens no more connections than its budget, and refuses a migration that needs more", async () => {
    const [one, two] = [await lab.database(table), await lab.database(table)];
    const options = ["--source-connections", "12", "--target-connections", "16"];
    const pool = start("--targets", await targetList(), ...options);
    const inputs = parseInputs(lab.inputs([one, two], { migrationName: "too-large", runner: "external" }));
    await withStore(inputs, "test", (store) => insertMigration(store, specOf(inputs)));
    undo.push(() => withStore(inputs, "test", (store) => deleteMigration(store, "too-large")));
    await pool.logs(/needs 14 connections to .*, but the budget has 12/);
    await undo.pop()!();
    let most = [0, 0];
    const count = async (server: Client): Promise<number> => {
      const { rows } = await server.query<{ count: number }>(
        `SELECT count(*)::int FROM pg_stat_activity
          WHERE application_name ~ '^pg-migration .*(#| lease$| budget$)' OR application_name = 'pg_dump'`,
      );
      return rows[0]!.count;
    };
    undo.push(
      await observe(30, async (source, target) => {
        const now = await Promise.all([count(source), count(target)]);
        most = [Math.max(most[0]!, now[0]), Math.max(most[1]!, now[1])];
      }),
    );
    await create(lab.onlineInputs([one], { tableJobs: 8, indexJobs: 8, maxCopyRate: "400kB" }));
    await undo.pop()!();
    assert(most[0]! > 3 && most[0]! <= 12 && most[1]! > 3 && most[1]! <= 16, `at most ${most.join(" and ")}`);
    assert.match(pool.output, /parallelism: up to [23] table copies/);
  });

  it("divides its rate among the workers of all members", async () => {
    const rows = "CREATE TABLE t (v text); INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 400)";
    const databases = [await lab.database(rows), await lab.database(rows)];
    const options = ["--targets", await targetList(), "--source-rate", "128kB", "--max-migrations", "1"];
    const members = [start(...options), start(...options)];
    await Promise.all(members.map((member) => member.logs(/main is served/)));
    await Promise.all(databases.map((database) => create(lab.inputs([database]))));
    for (const { output } of members)
      assert.match(output, /share the rate of 128\.0 kB\/s: 2; each copies 64\.0 kB\/s/);
  });

  it("is not ready without a list that it can read, or without a target that answers", async () => {
    const absent = start("--targets", join(command.directory, "absent.csv"), "--http", "0");
    await absent.logs(/the list of targets cannot be read/);
    assert.equal(
      await absent.get("/readyz"),
      "503 not ready: the list of targets cannot be read. The log has the reason.\n",
    );
    const closed = await command.file("closed.csv", "host,port\n127.0.0.1,1\n");
    const alone = start("--targets", closed, "--http", "0");
    await alone.logs(/is skipped: .*ECONNREFUSED/);
    assert.equal(await alone.get("/readyz"), "503 not ready: no target has answered. The log has the reason.\n");
    assert.equal(await alone.get("/healthz"), "200 ok\n");
    alone.child.kill("SIGTERM");
    assert.deepEqual(await alone.exited, [0, null]);
  });

  it("refuses a budget of zero and a pool without targets", async () => {
    const zero = await command.run(["worker", "--pool", "--targets", await targetList(), "--source-copies", "0"]);
    assert.equal(zero.code, 2);
    assert.match(zero.stderr, /--source-copies.*expected 1 or more/);
    const none = await command.run(["worker", "--pool"]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /--targets: is missing/);
  });
});
