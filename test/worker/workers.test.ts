import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { assertSameContent } from "../support/content";
import { Lab } from "../support/lab";
import { Resource } from "../support/resource";
import { secretsIn } from "../support/secrets";
import { until } from "../support/until";

const table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

describe("the workers of a resource", () => {
  let lab: Lab;
  let database: string;
  let directory: string;

  before(async () => {
    lab = await Lab.start();
  });

  beforeEach(async () => {
    database = await lab.database(table);
    directory = await mkdtemp(join(tmpdir(), "pg-migration-test-"));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  after(() => lab.stop());

  const online = (changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { migrationMode: "Online", ...changes });

  /** Starts a worker as an external runner does. */
  function startWorker(environment: Record<string, string>): { child: ChildProcess; exited: Promise<unknown> } {
    const child = spawn(process.execPath, [resolve("provider/dist/bundles/worker.js")], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return { child, exited: once(child, "exit") };
  }

  it("can be started externally, with the job in a file or in the environment", async () => {
    const inputs = online({ runner: "external" });
    const job = JSON.stringify({ migrationName: inputs.migrationName, source: inputs.source, target: inputs.target });
    const jobFile = join(directory, "job.json");
    await writeFile(jobFile, job, { mode: 0o600 });
    const creating = new Resource();
    const created = creating.create(inputs);
    await until("the resource reports that it waits", () =>
      creating.reported.some((line) => /pg-migration worker/.test(line)),
    );
    const first = startWorker({ PG_MIGRATION_JOB_FILE: jobFile });
    const status = await created;
    assert.deepEqual([status.state, status.worker.pid], ["WaitingForUserAction", first.child.pid]);
    first.child.kill("SIGTERM");
    await first.exited;
    await until("its lease is free", async () => (await creating.refresh()).worker.state === "lost");
    assert.equal((await creating.diff()).changes, false, "the external runner must restart it");
    const second = startWorker({ PG_MIGRATION_JOB: job });
    assert.equal((await creating.update({ triggerCutover: true })).state, "Succeeded");
    await second.exited;
    await creating.destroy();
  });

  it("outlive the operation that started them: waitFor started returns at once, a second create adopts", async () => {
    const inputs = lab.inputs([database], { waitFor: "started" });
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const first = await new Resource().create(inputs);
    assert.equal(first.worker.state, "running");
    assert.notEqual(first.state, "Succeeded");
    const adopting = new Resource();
    const second = await adopting.create(inputs);
    assert.equal(second.worker.pid, first.worker.pid);
    await obstacle.end();
    assert.equal((await adopting.update({ waitFor: "succeeded" })).state, "Succeeded");
    await adopting.destroy();
  });

  it("that run externally are named by a timeout if none has started", async () => {
    const resource = new Resource();
    const inputs = lab.inputs([database], { runner: "external", timeouts: { create: "1s" } });
    const text = await Resource.failure(resource.create(inputs));
    assert.match(text, /To do: no worker runs: start one with pg-migration worker --name m-\w+, then run pulumi up/);
    await resource.destroy();
  });

  it("that cannot start because another role holds the lease name its session", async () => {
    await lab.target.query("CREATE ROLE stranger LOGIN PASSWORD 'stranger'");
    const stranger = await lab.target.connect("postgres", { user: "stranger", password: "stranger" });
    const inputs = online();
    const [session] = (
      await stranger.query<{ pid: number }>(
        "SELECT pg_backend_pid() AS pid, pg_advisory_lock(1835624306, hashtext($1))",
        [inputs.migrationName],
      )
    ).rows;
    const resource = new Resource();
    const text = await Resource.failure(resource.create(inputs));
    await stranger.end();
    assert.match(
      text,
      new RegExp(`holds the lease of migration m-\\w+: session ${session!.pid} of stranger \\(test\\)`),
    );
    assert.match(text, new RegExp(`SELECT pg_terminate_backend\\(${session!.pid}\\)`));
    assert.equal((await resource.update({})).state, "WaitingForUserAction");
    await resource.destroy();
    await lab.target.query("DROP ROLE stranger");
  });

  it("keep running after the timeout of create; id, status and reason are kept, and the next operation continues", async () => {
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    const resource = new Resource();
    const text = await Resource.failure(resource.create(lab.inputs([database], { timeouts: { create: "1s" } })));
    assert.match(text, /did not reach its success within 1 s\n {2}To do: the worker keeps running/);
    assert.notEqual(resource.id, "");
    await until("the worker has recorded itself", async () => (await resource.refresh()).worker.pid !== undefined);
    const { pid } = resource.status.worker;
    await obstacle.end();
    const status = await resource.update({});
    assert.deepEqual([status.state, status.worker.pid], ["Succeeded", pid]);
    await resource.destroy();
  });

  it("keep running after the timeout of update, and a removal continues at the next attempt", async () => {
    const resource = new Resource();
    await resource.create(online());
    const obstacle = await lab.source.connect(database);
    await obstacle.query("BEGIN; INSERT INTO t VALUES (0)");
    const cutover = { triggerCutover: true, timeouts: { update: "1s", delete: "1s" } };
    assert.match(await Resource.failure(resource.update(cutover)), /within 1 s\n {2}To do: the worker keeps running/);
    await until("it is being completed", async () => {
      const { currentSubState } = (await resource.refresh()).currentSubStateDetails;
      return currentSubState === "CompletingMigration";
    });
    await obstacle.end();
    assert.equal((await resource.update({ timeouts: { delete: "1s" } })).state, "Succeeded");
    const records = await lab.target.connect("postgres");
    await records.query("BEGIN; LOCK TABLE pgmigration.migration IN ACCESS EXCLUSIVE MODE");
    const text = await Resource.failure(resource.destroy());
    assert.match(text, /could not be removed within 1 s.*run pulumi destroy again/s);
    await records.end();
    await until("the abandoned removal ends", async () => {
      const [row] = await lab.target.query<{ removed: boolean }>(
        "SELECT to_regclass('pgmigration.request') IS NULL AS removed",
      );
      return row!.removed;
    });
    // One second is too short for this destroy on a slow machine.
    resource.outputs = { ...resource.outputs, timeouts: {} };
    await resource.destroy();
  });

  it("are replaced when credentials or the package version change", async () => {
    const resource = new Resource();
    const first = await resource.create(online());
    assert.equal((await resource.update({ tableJobs: 5 })).worker.pid, first.worker.pid, "an unchanged worker stays");
    const password = "rotated-password";
    await lab.target.query(`ALTER ROLE ${lab.administrator.user} PASSWORD '${password}'`);
    const second = await resource.update({ target: { ...lab.administrator, password } });
    assert.notEqual(second.worker.pid, first.worker.pid);
    await lab.target.query(
      `UPDATE pgmigration.migration SET worker = worker || '{"version": "0.0.1"}' WHERE name = $1`,
      { values: [resource.inputs.migrationName] },
    );
    const third = await resource.update({ engineVersion: "0.1.1" });
    assert.notEqual(third.worker.pid, second.worker.pid);
    await resource.destroy();
    await lab.target.query(`ALTER ROLE ${lab.administrator.user} PASSWORD '${lab.administrator.password}'`);
  });

  it("run the command of auth at each connection, and store the password nowhere", async () => {
    const command = join(directory, "token");
    const calls = join(directory, "calls");
    await writeFile(join(directory, "secret"), lab.source.login.password, { mode: 0o600 });
    await writeFile(command, `#!/bin/sh\ncat /proc/$PPID/cmdline >> ${calls}\ncat ${join(directory, "secret")}\n`);
    await chmod(command, 0o755);
    const { host, port, user, password } = lab.source.login;
    const resource = new Resource();
    const auth = { kind: "command", command: `${command} 'a "quoted" secret' | cat` };
    await resource.create(lab.inputs([database], { source: { host, port, user, auth } }));
    await assertSameContent({ server: lab.source, database }, { server: lab.target, database });
    const shells = (await readFile(calls, "utf8")).split("/bin/sh").slice(1);
    assert(shells.length > 3);
    // Every user of the machine can read the arguments of the shell.
    assert(shells.every((line) => !line.includes("secret")));
    assert.deepEqual(await secretsIn([password], { lab, texts: [JSON.stringify(resource.outputs)] }), []);
    await resource.destroy();
    const refused = new Resource();
    const source = { host, port, user, auth: { kind: "command", command: "exit 3" } };
    const text = await Resource.failure(refused.create(lab.inputs([database], { source })));
    assert.match(text, /PGM-105.*the command of auth failed: exit code 3/s);
    await refused.destroy();
  });

  it("report servers, tables and rows in plain outputs", async () => {
    const resource = new Resource();
    const status = await resource.create(lab.inputs([database]));
    assert.deepEqual(JSON.parse(JSON.stringify(resource.outputs)), resource.outputs, "nothing undefined, no bigint");
    assert.match(status.sourceDbServerMetadata!.version, /^14\./);
    assert.match(status.targetDbServerMetadata!.version, /^17\./);
    assert.equal(status.migrationId, resource.id);
    assert.equal(status.percent, 100);
    const { bytesCopied, tables, percent } = status.currentSubStateDetails.dbDetails[database]!;
    assert(bytesCopied > 0 && percent === 100);
    assert.deepEqual(
      tables.map(({ table, state, rowsCopied, sourceRows, targetRows, verified }) => [
        table,
        state,
        rowsCopied,
        sourceRows,
        targetRows,
        verified,
      ]),
      [["public.t", "completed", 100, 100, 100, "equal"]],
    );
    const { host, port, user } = lab.administrator;
    assert.deepEqual(resource.outputs.targetConnection, {
      host,
      port,
      user,
      sslMode: "Disable",
      databases: [database],
    });
    await resource.destroy();
  });
});
