import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { controlSchemaSteps } from "../../provider/dist/store/installation/control-schema.js";
import { applyGeneration } from "../../provider/dist/worker/context/apply-generation.js";
import { CommandLine } from "../cli/command";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { until } from "../support/until";
import { PoolProcess } from "./pool-process";

const table =
  "CREATE TABLE t (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, v text); INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 500) i";

interface Loan extends Record<string, unknown> {
  readonly database: string;
  readonly borrower: string;
}

describe("the streams of one migration in a pool", () => {
  let lab: Lab;
  let command: CommandLine;
  let resource: Resource;
  let databases: string[];
  const pools: PoolProcess[] = [];
  const undo: (() => Promise<void>)[] = [];

  before(async () => {
    lab = await Lab.start();
    command = await CommandLine.in(lab);
  });
  afterEach(async function () {
    for (const step of undo.splice(0)) await step();
    if (this.currentTest?.state === "failed") for (const { output } of pools) console.log(output);
    for (const pool of pools.splice(0)) await pool.killAll();
    await resource.destroy();
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

  /** Starts a migration in a pool process, and returns that process. */
  const follow = async (migrationName: string): Promise<PoolProcess> => {
    databases = [];
    for (let i = 0; i < 3; i++) databases.push(await lab.database(table));
    const leader = await start();
    resource = new Resource();
    await resource.create(lab.onlineInputs(databases, { migrationName, runner: "external" }));
    return leader;
  };

  const loans = (): Promise<Loan[]> =>
    lab.target.query<Loan>("SELECT database, borrower FROM pgmigration.lend_stream WHERE state = 'lent' ORDER BY 1");

  const lent = async (count: number): Promise<Loan[]> => {
    let found: Loan[] = [];
    await until(`${count} streams are lent`, async () => (found = await loans()).length === count);
    return found;
  };

  /** Inserts and updates rows in all databases until the end of the test. */
  const write = (): (() => Promise<void>) => {
    let isOver = false;
    const written = Promise.all(
      databases.map(async (database) => {
        const session = await lab.source.connect(database);
        while (!isOver) {
          await session.query(
            "INSERT INTO t (v) VALUES ('new'); UPDATE t SET v = v || 'x' WHERE id <= 500 AND id % 100 = 1",
          );
          await delay(30);
        }
        await session.end();
      }),
    );
    return async () => {
      isOver = true;
      await written;
    };
  };

  const applied = (database: string, marker: string): Promise<void> =>
    until(`${marker} is applied to ${database}`, async () => {
      const [row] = await lab.queryTarget<{ found: boolean }>(
        database,
        `SELECT EXISTS (SELECT FROM t WHERE v = '${marker}') AS found`,
      );
      return row!.found;
    });

  const mark = async (database: string, marker: string): Promise<void> => {
    await lab.querySource(database, `INSERT INTO t (v) VALUES ('${marker}')`);
    await applied(database, marker);
  };

  const sameContent = async (): Promise<void> => {
    for (const database of databases) await assertSameContent(...lab.places(database));
  };

  const pidOf = ({ borrower }: Loan): number => Number(borrower.split(":")[1]);

  it("are divided among the pool processes, follow schema changes, and survive the loss of each process", async () => {
    const leader = await follow("divided");
    // Full processes return their streams, so that one of them can lead after the loss of the leader.
    const full = ["--max-migrations", "1"];
    const others = [await start(...full), await start(...full)];
    const shared = await lent(2);
    const stop = write();
    undo.push(stop);
    await Promise.all(others.map((other) => other.logs(/applies the changes of/)));
    const { dbDetails } = (await resource.refresh()).currentSubStateDetails;
    for (const { database, borrower } of shared)
      assert.equal(dbDetails[database]!.streamWorker, borrower.slice(0, borrower.lastIndexOf(":")));
    assert.equal(Object.values(dbDetails).filter(({ streamWorker }) => streamWorker === undefined).length, 1);
    for (const database of databases) await mark(database, "lent");

    const [altered] = shared;
    await lab.querySource(altered!.database, "ALTER TABLE t ADD w int DEFAULT 7; INSERT INTO t (v) VALUES ('altered')");
    await applied(altered!.database, "altered");
    await lent(2);

    const [lost] = others;
    await lost!.killAll();
    for (const database of databases) await mark(database, "borrower killed");
    await leader.logs(/the stream is taken back from worker .*: it was lost/);

    await start(...full);
    await lent(2);
    await leader.killAll();
    for (const database of databases) await mark(database, "leader killed");
    await until("another worker leads", async () => {
      const [row] = await lab.target.query<{ generation: string }>(
        "SELECT generation FROM pgmigration.migration WHERE name = 'divided'",
      );
      return row!.generation === "2";
    });
    for (const database of databases) await mark(database, "again");
    await undo.pop()!();
    await lent(1);

    const during: string[] = [];
    let isOver = false;
    const observed = (async () => {
      while (!isOver) {
        const rows = await lab.target.query<{ name: string }>(
          `SELECT name FROM pgmigration.database d JOIN pgmigration.lend_stream l ON l.migration = d.migration AND l.database = d.name
            WHERE l.state = 'lent' AND d.cutover_lsn IS NOT NULL`,
        );
        during.push(...rows.map(({ name }) => name));
        await delay(20);
      }
    })();
    const cutOver = await resource.update({ triggerCutover: true }).finally(() => (isOver = true));
    await observed;
    assert.equal(cutOver.state, "Succeeded");
    assert.deepEqual(during, [], "lent after the cutover LSN");
    await sameContent();
  });

  it("cannot be applied by a stopped worker from which they were taken back", async () => {
    const leader = await follow("stopped");
    const borrower = await start();
    const [loan] = await lent(1);
    const { database } = loan!;
    await mark(database, "lent");
    const blocker = await lab.target.connect(database);
    await blocker.query("BEGIN; SELECT FROM t WHERE id = 1 FOR UPDATE");
    await lab.querySource(
      database,
      "BEGIN; INSERT INTO t (v) VALUES ('open'); UPDATE t SET v = 'open' WHERE id = 1; COMMIT",
    );
    await until("the borrower waits for the row", async () => {
      const rows = await lab.target.query(
        `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND wait_event_type = 'Lock' AND application_name LIKE '%apply changes%h'`,
      );
      return rows.length > 0;
    });
    process.kill(pidOf(loan!), "SIGSTOP");
    const resume = (): Promise<void> => Promise.resolve(void process.kill(pidOf(loan!), "SIGCONT"));
    undo.push(resume);
    await blocker.query("COMMIT");
    await blocker.end();
    await leader.logs(/the stream is taken back from worker .*: it was lost/);
    const progress = await lab.target.query<{ generation: string }>("SELECT generation FROM pgmigration.progress", {
      database,
    });
    assert.deepEqual(progress, [{ generation: String(applyGeneration(1, 2)) }]);
    await applied(database, "open");
    const rows = await lab.queryTarget<{ count: number }>(database, "SELECT count(*)::int FROM t WHERE v = 'open'");
    assert.deepEqual(rows, [{ count: 2 }]);
    await undo.pop()!();
    await borrower.logs(/has taken over|was taken back/);
    await mark(database, "resumed");

    const [again] = await lent(1);
    borrower.child.kill("SIGTERM");
    assert.deepEqual(await borrower.exited, [0, null]);
    await leader.logs(/the stream is taken back from worker .*: it returned the stream/);
    await mark(again!.database, "returned");
    await resource.update({ triggerCutover: true });
    await sameContent();
  });

  it("are lent with records of an earlier version, and taken back to be compared", async () => {
    const first = await follow("compared");
    first.child.kill("SIGTERM");
    await first.exited;
    const before = controlSchemaSteps.findIndex((step) => step.includes("CREATE TABLE pgmigration.lend_stream"));
    await lab.target.query(
      `DROP TABLE pgmigration.lend_stream;
       ALTER TABLE pgmigration.database DROP COLUMN overwritable_oid;
       COMMENT ON SCHEMA pgmigration IS 'records of pulumi-pg-migration, version ${before}'`,
    );
    const members = [await start(), await start()];
    await until("the records are upgraded", async () => {
      const [row] = await lab.target.query<{ found: boolean }>(
        "SELECT to_regclass('pgmigration.lend_stream') IS NOT NULL AS found",
      );
      return row!.found;
    });
    await lent(1);
    undo.push(write());
    const { currentSubStateDetails } = await resource.update({ verifyNow: "now" });
    for (const database of databases)
      assert.equal(currentSubStateDetails.dbDetails[database]!.verification?.state, "equal");
    const outputs = members.map(({ output }) => output).join("");
    assert.match(outputs, /the stream is taken back from worker .*: this worker compares, or cuts over/);
    await lent(1);
    for (const database of databases) await mark(database, "compared");
    await undo.pop()!();
  });

  it("are taken back when their database is canceled, and when the migration is deleted", async () => {
    const leader = await follow("canceled");
    await start();
    const [loan] = await lent(1);
    await resource.update({ cancel: true, dbsToCancelMigrationOn: [loan!.database] });
    assert.deepEqual(
      await lab.source.query("SELECT FROM pg_replication_slots WHERE database = $1", { values: [loan!.database] }),
      [],
    );
    await leader.logs(/the stream is taken back/);
    const [other] = await lent(1);
    assert.notEqual(other!.database, loan!.database);
    await resource.destroy();
    await until("nothing is applied", async () => {
      const rows = await lab.target.query("SELECT FROM pg_stat_activity WHERE application_name LIKE '%apply changes%'");
      return rows.length === 0;
    });
    assert.deepEqual(await lab.source.query("SELECT FROM pg_replication_slots"), []);
  });
});
