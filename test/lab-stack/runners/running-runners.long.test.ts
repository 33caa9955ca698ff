import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { ContainerAppsRunner } from "../../../provider/src/runners/container-apps";
import { ContainerGroupRunner } from "../../../provider/src/runners/container-group";
import { KubernetesRunner, type KubernetesRunnerArgs } from "../../../provider/src/runners/kubernetes";
import type { WorkerPoolArgs } from "../../../provider/src/runners/worker-pool-args";
import { assertSameContent } from "../../support/content";
import { Lab } from "../../support/lab";
import { Resource } from "../../support/resource";
import { rowSeconds, setRowSeconds, slowTables } from "../../worker/container/slow-tables";
import { until } from "../../support/until";
import { declaredBy, the } from "./declared-runner";
import { runContainerAppsJob, runContainerGroup, runInKubernetes } from "./engines";
import type { PodEngine } from "./pods";

interface WorkerSpec {
  readonly migrationName: string;
  readonly source: { readonly host: string; readonly user: string; readonly password: string };
  readonly target: { readonly host: string; readonly user: string; readonly password: string };
}

const image = "example.azurecr.io/pg-migration:0.1.0";
const vaultUrl = "https://example.vault.azure.net/secrets/source";

describe("the workers that a runner declares", () => {
  let lab: Lab;
  let engine: PodEngine | undefined;
  let engines: readonly PodEngine[] = [];
  before(async () => {
    lab = await Lab.start({ source: { parameters: { [rowSeconds]: 0 } }, target: { parameters: { [rowSeconds]: 0 } } });
  });
  afterEach(async function () {
    const all = [...engines, ...(engine ? [engine] : [])];
    if (this.currentTest?.state === "failed") console.log(...all.map(({ logs }) => logs));
    await Promise.all(all.map((one) => one.stop()));
    await setRowSeconds(lab, 0);
  });
  after(() => lab.stop());

  const inputs = (database: string, changes: Record<string, unknown> = {}) =>
    lab.inputs([database], { runner: "external", tableJobs: 1, splitTablesLargerThan: "64kB", ...changes });
  const jobOf = (spec: Record<string, unknown>): WorkerSpec => {
    const { migrationName, source, target } = spec as unknown as WorkerSpec;
    return { migrationName, source, target };
  };
  const inKubernetes = async (
    spec: Record<string, unknown>,
    args: Omit<KubernetesRunnerArgs, "image" | "job">,
  ): Promise<PodEngine> => {
    const job = jobOf(spec);
    const passwordSecrets = { source: { name: "crm-source", key: "password" } };
    const declared = await declaredBy(() => new KubernetesRunner("crm", { image, job, passwordSecrets, ...args }));
    engine = runInKubernetes(declared, { "crm-source": { password: job.source.password } });
    return engine;
  };
  const leaderPid = async (spec: Record<string, unknown>): Promise<number> => {
    const [row] = await lab.target.query<{ pid: number | null }>(
      "SELECT (worker ->> 'pid')::int AS pid FROM pgmigration.migration WHERE name = $1",
      { values: [spec.migrationName] },
    );
    return row?.pid ?? 0;
  };
  const bothCopy = (database: string): Promise<void> =>
    until("both workers copy, and a part is complete", async () => {
      const rows = await lab.target
        .query<{ state: string; claimed_by: string | null }>(
          "SELECT state, claimed_by FROM pgmigration.copy_task WHERE database = $1",
          { values: [database] },
        )
        .catch(() => []);
      const busy = rows.filter(({ state }) => state === "loading").map(({ claimed_by }) => claimed_by);
      return new Set(busy).size === 2 && rows.some(({ state }) => state === "completed");
    });

  it("share a copy as a Kubernetes Job, survive a kill and an eviction, and complete the Job", async () => {
    const database = await lab.database(slowTables(8));
    await setRowSeconds(lab, 0.02);
    const spec = inputs(database);
    const running = await inKubernetes(spec, { migrationMode: "Offline", replicas: 2 });
    const resource = new Resource();
    const created = resource.create(spec);
    await bothCopy(database);
    assert(await running.pods[0]!.isReady());
    const first = await leaderPid(spec);
    running.podWith(first)!.child.kill("SIGKILL");
    await until("another worker leads", async () => ![0, first].includes(await leaderPid(spec)));
    await bothCopy(database);
    running.evict(running.podWith(await leaderPid(spec))!);
    await until("both pods were replaced", () => running.exitCodes.length === 2);
    await setRowSeconds(lab, 0);
    assert.equal((await created).state, "Succeeded");
    assert.equal(await running.finished(), "complete");
    assert.deepEqual(running.exitCodes, [137, 143, 0, 0]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("fail a Kubernetes Job at once for a finding that only a user can correct", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY)");
    await lab.target.query(`CREATE DATABASE ${database} OWNER ${lab.administrator.user}`);
    const spec = inputs(database);
    const running = await inKubernetes(spec, { migrationMode: "Offline" });
    const resource = new Resource();
    assert.match(await Resource.failure(resource.create(spec)), /603101/);
    assert.equal(await running.finished(), "failed");
    assert.deepEqual(running.exitCodes, [6]);
    await resource.destroy();
  });

  it("follow changes as a StatefulSet, also after the pod was moved", async () => {
    const database = await lab.database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    const spec = inputs(database, { migrationMode: "Online" });
    const running = await inKubernetes(spec, { migrationMode: "Online" });
    const resource = new Resource();
    await resource.create(spec);
    const first = running.pods[0]!;
    running.evict(first);
    await until("another pod runs", () => running.pods[0] !== first);
    await lab.source.query("INSERT INTO t VALUES (2)", { database });
    assert.equal((await resource.update({ triggerCutover: true })).state, "Succeeded");
    assert.deepEqual(running.exitCodes, [143]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  it("share a copy as a Container Apps job with a password from Key Vault, and replace a killed replica", async () => {
    const database = await lab.database(slowTables(8));
    await setRowSeconds(lab, 0.02);
    const spec = inputs(database);
    const job = jobOf(spec);
    const declared = await declaredBy(
      () =>
        new ContainerAppsRunner("crm", {
          ...{ image, job, migrationMode: "Offline", replicas: 2, identity: "/identities/crm" },
          ...{ resourceGroupName: "rg", location: "westeurope", environment: { id: "/environments/shared" } },
          keyVaultPasswords: { source: vaultUrl },
        }),
    );
    const { inputs: body } = the(declared, "app:Job");
    assert.throws(() => runContainerAppsJob(body, {}), /Unable to get value using Managed identity/);
    engine = runContainerAppsJob(body, { [vaultUrl]: job.source.password });
    const resource = new Resource();
    const created = resource.create(spec);
    await bothCopy(database);
    engine.podWith(await leaderPid(spec))!.child.kill("SIGKILL");
    await until("the replica was replaced", () => engine!.exitCodes.length === 1);
    await setRowSeconds(lab, 0);
    assert.equal((await created).state, "Succeeded");
    assert.equal(await engine.finished(), "complete");
    assert.deepEqual(engine.exitCodes, [137, 0, 0]);
    await assertSameContent(...lab.places(database));
    await resource.destroy();
  });

  /** The engines that run two pool processes. */
  const pools: Record<string, (pool: WorkerPoolArgs) => Promise<readonly PodEngine[]>> = {
    "a StatefulSet": async (pool) => [
      runInKubernetes(await declaredBy(() => new KubernetesRunner("fleet", { image, pool, replicas: 2 })), {}),
    ],
    "container groups": async (pool) => {
      const place = { resourceGroupName: "rg", location: "westeurope", subnetId: "/subnets/runner" };
      const declared = await declaredBy(
        () => new ContainerGroupRunner("fleet", { image, pool, replicas: 2, ...place }),
      );
      return declared
        .filter(({ type }) => type.endsWith(":ContainerGroup"))
        .map(({ inputs }) => runContainerGroup(inputs));
    },
  };
  for (const [what, start] of Object.entries(pools))
    it(`serve a list of targets as a pool in ${what}, which replace a killed pool process`, async () => {
      const databases = [await lab.database(slowTables(4)), await lab.database(slowTables(4))];
      // Neither copy ends before the replacement has taken over the other one.
      await setRowSeconds(lab, 0.1);
      const { host, user, password } = lab.administrator;
      engines = await start({
        targets: [{ host, port: lab.target.port, user }],
        passfile: [
          `*:${lab.target.port}:*:${user}:${password}`,
          `*:${lab.source.port}:*:${lab.source.login.user}:${lab.source.login.password}`,
        ].join("\n"),
        maxMigrations: 1,
      });
      const pods = () => engines.flatMap((one) => one.pods);
      const exitCodes = () => engines.flatMap((one) => one.exitCodes);
      const resources = databases.map(() => new Resource());
      const created = databases.map((database, i) => resources[i]!.create(inputs(database)));
      await until(
        "each pool process runs a migration",
        () => pods().length === 2 && pods().every(({ log }) => log.includes("starts worker")),
      );
      const victim = pods()[0]!;
      const { pid } = victim.child;
      const workers = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ").map(Number);
      // The loss of a container ends all of its processes.
      victim.child.kill("SIGKILL");
      for (const worker of workers) process.kill(worker, "SIGKILL");
      await until("the pool process was replaced", () => pods()[0] !== victim);
      const replacement = pods()[0]!;
      await until("the replacement is ready", () => replacement.isReady());
      await until("the replacement runs the migration", () => replacement.log.includes("starts worker"));
      await setRowSeconds(lab, 0);
      for (const one of created) assert.equal((await one).state, "Succeeded");
      for (const database of databases) await assertSameContent(...lab.places(database));
      for (const pod of pods()) engines[0]!.evict(pod);
      await until("both ended with their leases released", () => exitCodes().length === 3);
      assert.deepEqual(
        exitCodes().sort((a, b) => a - b),
        [0, 0, 137],
      );
      for (const resource of resources) await resource.destroy();
    });
});
