import assert from "node:assert/strict";
import { engineVersion } from "../../../provider/src/engine-version";
import { applicationNameOf } from "../../../provider/src/postgres/connection/connect";
import { ComparisonHelper } from "../../../provider/src/worker/comparison/comparison-helper";
import { HelperWatch, purposeOfHelper } from "../../../provider/src/worker/comparison/helper-watch";
import { helperName } from "../../../provider/src/worker/context/session-owner";
import { workerJobSchema } from "../../../provider/src/worker/context/worker-job";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { Seeded, seed } from "../../support/seeded";
import { until } from "../../support/until";
import { stayingWorkers } from "../staying-worker";
import {
  claims,
  eventsOf,
  helperSessions,
  hold,
  leaderPid,
  leftOfComparisons,
  release,
  someTables,
  verify,
  workersCompare,
} from "./shared-online";

const kills = Number(process.env.PG_MIGRATION_TEST_KILLS ?? 6);

describe("a comparison of an online migration, whose workers fail", () => {
  let lab: Lab;
  let database: string;
  const { workers, start } = stayingWorkers();

  before(async () => {
    lab = await Lab.start();
  });
  beforeEach(async () => {
    database = await lab.database(someTables);
  });
  after(() => lab.stop());

  const external = () => lab.onlineInputs([database], { runner: "external", tableJobs: 1 });
  const helpersStandBy = (count: number): Promise<void> =>
    until(`${count} helpers stand by`, async () => {
      const rows = await lab.target.query("SELECT FROM pgmigration.helper");
      return rows.length === count;
    });
  /** A migration with the given number of replicas, of which one leads. */
  const follow = async (replicas: number): Promise<{ resource: Resource; spec: Record<string, unknown> }> => {
    const spec = external();
    for (let i = 0; i < replicas; i++) start(spec);
    const resource = new Resource();
    await resource.create(spec);
    await helpersStandBy(replicas - 1);
    return { resource, spec };
  };
  const end = async (resource: Resource): Promise<void> => {
    await resource.destroy();
    for (const { exited } of workers) await exited;
  };

  it("is continued by the leader when a helper is killed", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1 });
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "helper killed");
    const leader = await leaderPid(lab, resource.inputs.migrationName);
    const helper = (await workersCompare(lab, database, 3)).find(({ pid }) => pid !== leader)!;
    process.kill(helper.pid, "SIGKILL");
    await until("its task is returned", async () => {
      return !(await claims(lab, database)).some(({ worker }) => worker === helper.worker);
    });
    await until("its sessions have ended", async () => (await helperSessions(lab, helper.worker)).length === 0);
    await release(obstacle);
    assert.equal((await verified).state, "equal");
    assert.deepEqual(await leftOfComparisons(lab), []);
    await resource.destroy();
  });

  it("does not wait for a helper that is stopped", async () => {
    const resource = await lab.follow([database], { workers: 2, tableJobs: 1 });
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "helper stopped");
    const leader = await leaderPid(lab, resource.inputs.migrationName);
    const helper = (await workersCompare(lab, database, 2)).find(({ pid }) => pid !== leader)!;
    process.kill(helper.pid, "SIGSTOP");
    try {
      await release(obstacle);
      await until("its sessions have ended", async () => (await helperSessions(lab, helper.worker)).length === 0);
    } finally {
      process.kill(helper.pid, "SIGCONT");
    }
    assert.equal((await verified).state, "equal");
    // The continued helper asks once more for tasks.
    await until("nothing is left of the comparison", async () => (await leftOfComparisons(lab)).length === 0);
    await resource.destroy();
  });

  it("is repeated by a successor when the leader is killed, and its helpers release the snapshot", async () => {
    const { resource, spec } = await follow(3);
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "leader killed");
    await workersCompare(lab, database, 3);
    const leader = await leaderPid(lab, spec.migrationName);
    process.kill(leader, "SIGKILL");
    await until("the helpers have ended their sessions", async () => (await helperSessions(lab)).length === 0);
    await until("another worker leads, and a helper compares with it", async () => {
      const open = await claims(lab, database);
      return new Set(open.map(({ pid }) => pid)).size === 2 && !open.some(({ pid }) => pid === leader);
    });
    await release(obstacle);
    assert.equal((await verified).state, "equal");
    assert.deepEqual(await leftOfComparisons(lab), []);
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    await assertSameContent(...lab.places(database));
    await end(resource);
  });

  it("is shared with a helper that joins late", async () => {
    const { resource, spec } = await follow(2);
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "late");
    await workersCompare(lab, database, 2);
    start(spec);
    await workersCompare(lab, database, 3);
    await release(obstacle);
    assert.equal((await verified).state, "equal");
    assert((await eventsOf(lab, database)).includes("3 workers compared the tables"));
    await end(resource);
  });

  it("is completed without a helper that has another source", async () => {
    const { resource, spec } = await follow(1);
    const other = start({ ...spec, source: spec.target });
    await helpersStandBy(1);
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "another source");
    await other.logs(/helping to compare .*(again after a connection loss|snapshot)|stopped helping to compare/s);
    await release(obstacle);
    assert.equal((await verified).state, "equal");
    assert((await eventsOf(lab, database)).includes("1 worker compared the tables"));
    await end(resource);
  });

  it("is not shared by a worker of another version", async () => {
    const messages: string[] = [];
    const helper = new ComparisonHelper({
      job: workerJobSchema.parse(lab.inputs([database])),
      workOf: () => Promise.reject(new Error("must not be called")),
      log: (message) => messages.push(message),
    });
    const comparison = { database, generation: 1, id: "one", snapshotId: "1-1-1", txidSnapshot: "1:1:" };
    const how = { occasion: "verification", mode: "content" } as const;
    await helper.share([{ ...comparison, ...how, engineVersion: "0.0.1" }]);
    await helper.share([]);
    assert.deepEqual(messages, [
      `cannot help to compare: this worker has version ${engineVersion}, the leader another one`,
    ]);
  });

  it("starts again under another snapshot when the snapshot is lost", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1 });
    const obstacle = await hold(lab, database);
    const verified = verify(resource, database, "snapshot lost");
    const id = async () =>
      (await lab.target.query<{ id: string }>("SELECT id FROM pgmigration.shared_comparison"))[0]?.id;
    await workersCompare(lab, database, 3);
    const first = await id();
    await lab.source.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg-migration snapshot%'",
    );
    await until("another comparison has begun", async () => ![first, undefined].includes(await id()));
    await workersCompare(lab, database, 3);
    await release(obstacle);
    assert.equal((await verified).state, "equal");
    assert.deepEqual(await leftOfComparisons(lab), []);
    await resource.destroy();
  });

  it("counts the rows of a table when the time limit of a cutover ends for all workers", async () => {
    const resource = await lab.follow([database], { workers: 3, tableJobs: 1, cutoverVerificationBudget: "30s" });
    const obstacle = await hold(lab, database);
    const cutOver = resource.update({ triggerCutover: true });
    await workersCompare(lab, database, 3);
    await until("the time limit has ended, and rows are counted", async () => {
      const rows = await lab.target.query(
        "SELECT FROM pgmigration.shared_comparison WHERE description ->> 'mode' = 'counts'",
      );
      return rows.length > 0;
    });
    await release(obstacle);
    assert.equal((await cutOver).state, "Succeeded");
    const compared = resource.status.currentSubStateDetails.dbDetails[database]!.tables;
    const by = new Map(compared.map(({ table, verifiedBy }) => [table, verifiedBy]));
    assert.equal(by.get("public.big"), "counts");
    assert.equal(by.get("public.t0"), "content");
    await resource.destroy();
  });

  it(`has the result of one worker after ${kills} kills at random (seed ${seed})`, async () => {
    const random = new Seeded(seed);
    const { resource, spec } = await follow(3);
    await lab.queryTarget(database, "UPDATE big SET v = 'another' WHERE id = 20000; DELETE FROM t5 WHERE id = 3");
    for (let kill = 0; kill < kills; kill++) {
      const verified = verify(resource, database, `kill ${kill}`);
      const victim = random.pick(workers.filter(({ child }) => child.exitCode === null && child.signalCode === null));
      await until("the comparison has begun", async () => {
        const rows = await lab.target.query(
          "SELECT FROM pgmigration.database WHERE verification ->> 'state' = 'running'",
        );
        return rows.length > 0;
      });
      await new Promise((resolve) => setTimeout(resolve, random.below(600)));
      victim.child.kill("SIGKILL");
      await victim.exited;
      start(spec);
      const found = await verified;
      assert.equal(found.state, "different");
      assert.deepEqual(
        found.differences?.map(({ table, firstDifferences }) => [table, firstDifferences.map(({ key }) => key)]),
        [
          ['"public"."big"', ["id = 20000"]],
          ['"public"."t5"', ["id = 3"]],
        ],
      );
      await until("nothing is left", async () => (await leftOfComparisons(lab)).length === 0);
    }
    await resource.destroy();
  });

  it("lets a successor complete a cutover whose leader is killed while helpers compare", async () => {
    const { resource, spec } = await follow(3);
    const obstacle = await hold(lab, database);
    const cutOver = resource.update({ triggerCutover: true });
    await workersCompare(lab, database, 3);
    await lab.source.query("INSERT INTO big VALUES (-1, 'after the first cutover LSN')", { database });
    process.kill(await leaderPid(lab, spec.migrationName), "SIGKILL");
    await until("the helpers have ended their sessions", async () => (await helperSessions(lab)).length === 0);
    await release(obstacle);
    assert.equal((await cutOver).state, "Succeeded");
    assert.deepEqual(await leftOfComparisons(lab), []);
    await assertSameContent(...lab.places(database));
    await end(resource);
  });

  it("does not let an application wait for a helper that is stopped", async () => {
    const owner = { migration: "m", startedAt: "today", generation: 1 };
    const { source, target } = workerJobSchema.parse({ ...lab.inputs([database]), migrationName: "m" });
    const worker = "host:1:0000000012345678";
    const helper = await lab.source.connect(database);
    const name = applicationNameOf(purposeOfHelper(worker, "m"), helperName(owner));
    await helper.query(`SET application_name = '${name}'; BEGIN; LOCK TABLE big IN ACCESS SHARE MODE`);
    helper.on("error", () => undefined);
    const lost = new Promise((resolve) => void helper.once("end", resolve));
    const watch = new HelperWatch(
      { source, target, owner, spec: { migrationName: "m" }, signal: new AbortController().signal } as never,
      { database, occasion: "verification", snapshotId: "1-1-1" },
      { others: () => Promise.resolve([worker]), takeBack: () => Promise.resolve([]) } as never,
    );
    try {
      await lab.source.query("SET lock_timeout = '20s'; ALTER TABLE big ADD w int", { database });
      await lost;
    } finally {
      await watch.close();
      await helper.end().catch(() => undefined);
    }
  });
});
