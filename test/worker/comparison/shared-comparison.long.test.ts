import assert from "node:assert/strict";
import type { Client } from "pg";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { until } from "../../support/until";
import { rowSeconds, setRowSeconds, slowTables } from "../container/slow-tables";

interface Group extends Record<string, unknown> {
  readonly id: number;
  readonly worker: string | null;
  readonly pid: number | null;
  readonly compared: boolean;
  readonly table: string;
}

interface Started {
  readonly resource: Resource;
  readonly created: Promise<{ readonly state: string }>;
  readonly name: unknown;
  /** Tables that a session of the test locks. */
  readonly locked: readonly string[];
}

const tables = 6;

describe("a comparison shared by the workers of a copy", () => {
  let lab: Lab;
  let database: string;
  /** Sessions of the test, each with a lock on a table. */
  const obstacles = new Map<string, Client>();

  before(async () => {
    lab = await Lab.start({
      source: { parameters: { [rowSeconds]: 0 } },
      target: { parameters: { [rowSeconds]: 0.02 } },
    });
  });
  beforeEach(async () => {
    await setRowSeconds(lab, 0.02);
    database = await lab.database(slowTables(tables));
  });
  afterEach(async () => {
    await Promise.all([...obstacles.values()].map((session) => session.end()));
    obstacles.clear();
  });
  after(() => lab.stop());

  const groups = (): Promise<Group[]> =>
    lab.target.query<Group>(
      `SELECT id, claimed_by AS worker, substring(claimed_by FROM ':([0-9]+):')::int AS pid, results IS NOT NULL AS compared,
              tables -> 0 ->> 'name' AS "table"
         FROM pgmigration.comparison_task WHERE database = $1 ORDER BY id`,
      { values: [database] },
    );

  /** Two tables whose rows are copied, while others are not. The comparison is shared if both workers have copied rows. */
  async function copiedTables(): Promise<string[]> {
    let copied: string[] = [];
    await until("two tables are copied, and both workers have copied rows", async () => {
      const rows = await lab.target
        .query<{ table: string; copied: boolean; workers: string[] | null }>(
          `SELECT table_name AS "table", bool_and(state = 'completed') AS copied,
                  array_agg(claimed_by) FILTER (WHERE state = 'completed') AS workers
             FROM pgmigration.copy_task
            WHERE database = $1 AND kind = 'table' GROUP BY table_name`,
          { values: [database] },
        )
        .catch(() => []);
      copied = rows.filter((row) => row.copied).map(({ table }) => table);
      const workers = new Set(rows.flatMap((row) => row.workers ?? []));
      return workers.size === 2 && copied.length >= 2 && copied.length < tables;
    });
    return copied.slice(0, 2);
  }

  const leaderPid = async (migration: unknown): Promise<number> => {
    const [row] = await lab.target.query<{ pid: number }>(
      "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE name = $1",
      { values: [migration] },
    );
    return row!.pid;
  };

  /** Both workers wait for a locked table each. @returns the helper's group */
  async function bothWait({ name, locked }: Started): Promise<Group> {
    const pid = await leaderPid(name);
    let open: Group[] = [];
    await until("both workers compare", async () => {
      open = (await groups()).filter(({ worker, compared }) => worker !== null && !compared);
      return open.length === 2 && open.every(({ table }) => locked.includes(table));
    });
    const leader = open.find((one) => one.pid === pid);
    const helper = open.find((one) => one.pid !== pid);
    assert(leader && helper, `one worker has both groups: ${JSON.stringify(open)}`);
    return helper;
  }

  const start = async (): Promise<Started> => {
    const inputs = lab.inputs([database], { workers: 2, tableJobs: 1, splitTablesLargerThan: "64kB" });
    const resource = new Resource();
    const created = resource.create(inputs);
    created.catch(() => undefined);
    const locked = await copiedTables();
    for (const table of locked) {
      const obstacle = await lab.target.connect(database);
      obstacles.set(table, obstacle);
      await obstacle.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    }
    await setRowSeconds(lab, 0);
    return { resource, created, name: inputs.migrationName, locked };
  };

  const leadersTable = ({ locked }: Started, helper: Group): string => locked.find((table) => table !== helper.table)!;

  it("is divided between them, and the leader compares what a killed helper had claimed", async () => {
    const started = await start();
    const { resource, created } = started;
    const helper = await bothWait(started);
    process.kill(helper.pid!, "SIGKILL");
    await obstacles.get(leadersTable(started, helper))!.query("ROLLBACK");
    await until("another worker has claimed the group", async () => {
      const group = (await groups()).find(({ id }) => id === helper.id)!;
      return group.worker !== null && group.worker !== helper.worker;
    });
    await obstacles.get(helper.table)!.query("ROLLBACK");
    assert.equal((await created).state, "Succeeded");
    // The results could contain keys of different rows.
    assert.deepEqual(await groups(), []);
    const compared = resource.status.currentSubStateDetails.dbDetails[database]!;
    assert.equal(compared.tablesCompared, tables);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("fails for a difference that a helper finds", async () => {
    const started = await start();
    const { resource, created } = started;
    const helper = await bothWait(started);
    await obstacles.get(helper.table)!.query(`DELETE FROM ${helper.table} WHERE id = 7; COMMIT`);
    await obstacles.get(leadersTable(started, helper))!.query("ROLLBACK");
    const failure = await Resource.failure(created);
    assert.match(failure, new RegExp(`${helper.table}\\b`));
    assert.match(failure, /200 .*199|199 .*200/s);
    assert.deepEqual(await groups(), []);
    await resource.destroy();
  });
});
