import assert from "node:assert/strict";
import { CommandLine } from "../cli/command";
import { assertSameContent } from "../support/content";
import { isAlive } from "../support/is-alive";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { rowSeconds, setRowSeconds, slowTables } from "../worker/container/slow-tables";
import { PoolProcess } from "./pool-process";

interface Task extends Record<string, unknown> {
  readonly id: number;
  readonly state: string;
  readonly ended: string | null;
}

const workerOf = ({ output }: PoolProcess): number => Number(/starts worker (\d+)/.exec(output)?.[1]);

describe("a pool process that is stopped while it copies", () => {
  let lab: Lab;
  let command: CommandLine;
  const pools: PoolProcess[] = [];

  before(async () => {
    lab = await Lab.start({
      source: { parameters: { [rowSeconds]: 0 } },
      target: { parameters: { [rowSeconds]: 0.01 } },
    });
    command = await CommandLine.in(lab);
  });
  afterEach(async function () {
    if (this.currentTest?.state === "failed") for (const { output } of pools) console.log(output);
    for (const pool of pools.splice(0)) await pool.killAll();
    await setRowSeconds(lab, 0.01);
  });
  after(async () => {
    await command.close();
    await lab.stop();
  });

  const start = async (...options: string[]): Promise<PoolProcess> => {
    const { host, port } = lab.administrator;
    const list = await command.file("targets.csv", `name,host,port\nmain,${host},${port}\n`);
    const pool = new PoolProcess(["--targets", list, ...options], command.environment);
    pools.push(pool);
    return pool;
  };
  const tasks = (database: string): Promise<Task[]> =>
    lab.target
      .query<Task>(
        `SELECT id, state, ended_at::text AS ended FROM pgmigration.copy_task
          WHERE database = $1 AND kind = 'table' ORDER BY id`,
        { values: [database] },
      )
      .catch(() => []);
  const partlyCopied = (database: string): Promise<void> =>
    until("a table is complete, and another one is copied", async () => {
      const all = await tasks(database);
      return ["completed", "loading"].every((wanted) => all.some(({ state }) => state === wanted));
    });
  const inputs = (database: string, changes: Record<string, unknown> = {}): Record<string, unknown> =>
    lab.inputs([database], { runner: "external", tableJobs: 1, splitTablesLargerThan: "64kB", ...changes });

  for (const [mode, changes] of [
    ["offline", {}],
    ["online", { migrationMode: "Online", triggerCutover: true }],
  ] as const)
    it(`hands its snapshot over, and another pool process copies only the other tables (${mode})`, async () => {
      const database = await lab.database(slowTables(6));
      const first = await start();
      const resource = new Resource();
      const created = resource.create(inputs(database, changes));
      await partlyCopied(database);
      await setRowSeconds(lab, 0.1);
      const second = await start();
      await second.logs(/main is served/);
      first.child.kill("SIGTERM");
      assert.deepEqual(await first.exited, [0, null]);
      assert.match(first.output, /another pool process holds every snapshot/);
      const atStop = await tasks(database);
      assert(
        atStop.some(({ state }) => state !== "completed"),
        "the copy was complete before the worker stopped",
      );
      await second.logs(/resuming the copy .* under the same snapshot/);
      await setRowSeconds(lab, 0);
      assert.equal((await created).state, "Succeeded");
      const afterwards = await tasks(database);
      for (const { id, ended } of atStop.filter(({ state }) => state === "completed"))
        assert.equal(afterwards.find((task) => task.id === id)?.ended, ended, "a complete table was copied again");
      await assertSameContent(...lab.places(database));
      await resource.destroy();
    });

  it("hands its snapshot over to a pool process that has no free place, until another one has", async () => {
    const [database, other] = [await lab.database(slowTables(6)), await lab.database(slowTables(6))];
    const first = await start("--max-migrations", "1");
    const resource = new Resource();
    const created = resource.create(inputs(database, { migrationName: "first" }));
    await partlyCopied(database);
    await setRowSeconds(lab, 0.1);
    const full = await start("--max-migrations", "1");
    const otherResource = new Resource();
    const otherCreated = otherResource.create(inputs(other, { migrationName: "second" }));
    await full.logs(/main\/second: starts worker/);
    first.child.kill("SIGTERM");
    assert.deepEqual(await first.exited, [0, null]);
    assert.match(full.output, /main\/first holds the snapshots of a worker that ends/);
    const third = await start();
    await third.logs(/resuming the copy .* under the same snapshot/);
    await setRowSeconds(lab, 0);
    for (const [one, place] of [
      [created, database],
      [otherCreated, other],
    ] as const) {
      assert.equal((await one).state, "Succeeded");
      await assertSameContent(...lab.places(place));
    }
    for (const one of [resource, otherResource]) await one.destroy();
  });

  it("ends at once without another pool process", async () => {
    const database = await lab.database(slowTables(2));
    const alone = await start();
    const resource = new Resource();
    const created = resource.create(inputs(database));
    await partlyCopied(database);
    alone.child.kill("SIGTERM");
    assert.deepEqual(await alone.exited, [0, null]);
    assert.doesNotMatch(alone.output, /handing over/);
    await setRowSeconds(lab, 0);
    await start();
    assert.equal((await created).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("leaves its migration to another pool process when it alone is killed while its worker starts", async () => {
    const database = await lab.database(slowTables(2));
    await setRowSeconds(lab, 10);
    const killed = await start();
    // At once: a worker that has read its job learns of a later end in any case.
    killed.child.stderr!.on("data", () => {
      if (workerOf(killed)) killed.child.kill("SIGKILL");
    });
    const resource = new Resource();
    const created = resource.create(inputs(database));
    await killed.exited;
    await until("the worker of the killed pool process ends", () => !isAlive(workerOf(killed)));
    await setRowSeconds(lab, 0);
    await start();
    assert.equal((await created).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });
});
