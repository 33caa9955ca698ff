import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import {
  KubernetesRunner,
  type KubernetesRunnerArgs,
  type WorkerPoolArgs,
} from "../../../provider/src/runners/kubernetes";
import { at, list, type Properties, text } from "../azure-stand-in/properties";
import { type DeclaredResource, declaredBy, the } from "./declared-runner";

const job = {
  migrationName: "crm",
  source: { host: "db1", user: "reader", password: "source-secret" },
  target: { host: "db2", user: "azureadmin", password: "target-secret" },
};
const usual: KubernetesRunnerArgs = { image: "example.azurecr.io/pg-migration:0.1.0", job, migrationMode: "Offline" };
const pool: WorkerPoolArgs = {
  targets: [
    { host: "db1", user: "azureadmin" },
    { host: "db2", port: 5433, auth: { kind: "entra" } },
  ],
  user: "migrator",
  passfile: "*:*:*:*:pool-secret",
  maxMigrations: 8,
  sourceBudget: { copies: 2, rate: "100MB" },
  targetBudget: { connections: 60 },
};
const declarePool = (changes: Partial<KubernetesRunnerArgs> = {}): Promise<DeclaredResource[]> =>
  declaredBy(() => new KubernetesRunner("fleet", { image: usual.image, pool, replicas: 3, ...changes }));
const declare = (changes: Partial<KubernetesRunnerArgs> = {}, name = "crm"): Promise<DeclaredResource[]> =>
  declaredBy(() => new KubernetesRunner(name, { ...usual, ...changes }));

interface Model {
  validate(): void;
}

/** Kubernetes' own OpenAPI schemas. The package has only an entry point for ES modules. */
async function validate({ type, inputs }: DeclaredResource): Promise<void> {
  const [group, version, kind] = type.replace("kubernetes:", "").split(/[/:]/);
  const path = group === "core" ? version! : `${group!}/${version!}`;
  const models = (await import(`kubernetes-models/${path}/${kind!}`)) as Record<string, new (data: unknown) => Model>;
  new models[kind!]!(inputs).validate();
}

const isKubernetes = ({ type }: DeclaredResource): boolean => type.startsWith("kubernetes:");
const podOf = (declared: readonly DeclaredResource[], type = ":Job"): Properties =>
  at(the(declared, type).inputs, "spec.template.spec") as Properties;

const storedJob = (declared: readonly DeclaredResource[]): typeof job =>
  JSON.parse((the(declared, ":Secret").inputs.stringData as Record<string, string>)["job.json"]!) as typeof job;

describe("KubernetesRunner", () => {
  const variants: Record<string, Partial<KubernetesRunnerArgs>> = {
    "offline: a Job": { replicas: 4, queueName: "migrations" },
    "online: a StatefulSet": { migrationMode: "Online", namespace: "migrations" },
    "online: a Job": { migrationMode: "Online", workload: "Job" },
    "a pool": { job: undefined, migrationMode: undefined, pool, replicas: 3 },
    "all options": {
      ...{ imagePullSecret: "registry", serviceAccountName: "worker", nodeSelector: { pool: "migration" } },
      podLabels: { "azure.workload.identity/use": "true" },
      tolerations: [{ key: "spot", operator: "Exists", effect: "NoSchedule" }],
      passwordSecrets: { source: { name: "crm-source", key: "password" }, target: { name: "crm", key: "pw" } },
    },
  };
  for (const [what, changes] of Object.entries(variants)) {
    it(`matches the schemas of Kubernetes (${what})`, async () => {
      const declared = (await declare(changes)).filter(isKubernetes);
      for (const one of declared) await validate(one);
      assert(declared.length >= 3);
    });
  }

  it("is refused by these schemas after a mistake", async () => {
    const declared = await declare();
    const inputs = structuredClone(the(declared, ":Job").inputs);
    Object.assign(at(inputs, "spec") as object, { parallelism: "two" });
    await assert.rejects(validate({ ...the(declared, ":Job"), inputs }), /spec\/parallelism must be integer/);
    const lacking = structuredClone(the(declared, ":Job").inputs);
    delete (at(lacking, "spec") as Record<string, unknown>).template;
    await assert.rejects(validate({ ...the(declared, ":Job"), inputs: lacking }), /template/);
  });

  it("runs each index of a Job until its worker succeeds, and fails the Job for what only a user can correct", async () => {
    const { inputs } = the(await declare({ replicas: 4 }), ":Job");
    const spec = at(inputs, "spec") as Properties;
    const { completionMode, completions, parallelism, backoffLimitPerIndex } = spec;
    assert.deepEqual([completionMode, completions, parallelism, backoffLimitPerIndex], ["Indexed", 4, 4, 10]);
    assert.deepEqual(
      list(spec, "podFailurePolicy.rules").map((rule) => [text(rule, "action"), at(rule, "onExitCodes.values")]),
      [
        ["Ignore", undefined],
        ["Ignore", [129, 130, 143]],
        ["FailJob", [2, 3, 4, 6, 7, 9]],
      ],
    );
    assert.equal(at(inputs, "metadata.annotations")?.["pulumi.com/skipAwait" as never], "true");
    assert.deepEqual(at(spec, "template.spec.containers.0.args"), ["--wait"]);
    assert.equal(at(spec, "template.spec.restartPolicy"), "Never");
  });

  it("keeps workers of an online migration until it is deleted, and evicts one after the other", async () => {
    const declared = await declare({ migrationMode: "Online", replicas: 2 });
    const set = the(declared, ":StatefulSet").inputs;
    assert.equal(at(set, "spec.replicas"), 2);
    assert.deepEqual(at(set, "spec.template.spec.containers.0.args"), ["--stay"]);
    assert.deepEqual(at(set, "spec.selector.matchLabels"), at(set, "spec.template.metadata.labels"));
    assert.equal(at(the(declared, ":PodDisruptionBudget").inputs, "spec.maxUnavailable"), 1);
    assert.equal(at(the(await declare(), ":PodDisruptionBudget").inputs, "spec.minAvailable"), 1);
  });

  it("runs a pool in a StatefulSet, with its targets and passwords as files", async () => {
    const declared = await declarePool();
    const set = the(declared, ":StatefulSet").inputs;
    assert.equal(at(set, "spec.replicas"), 3);
    assert.deepEqual(at(set, "spec.template.spec.containers.0.args"), [
      ...["--pool", "--targets", "/run/pg-migration/targets.json", "--user", "migrator", "--max-migrations", "8"],
      ...["--source-copies", "2", "--source-rate", "100MB", "--target-connections", "60"],
    ]);
    assert.deepEqual(
      list(set, "spec.template.spec.containers.0.env").map((one) => [text(one, "name"), text(one, "value")]),
      [
        ["PG_MIGRATION_PASSFILE", "/run/pg-migration/pgpass"],
        ["PG_MIGRATION_HTTP", "0.0.0.0:8080"],
        ["PG_MIGRATION_LOG_FORMAT", "json"],
      ],
    );
    const pod = podOf(declared, ":StatefulSet");
    assert.equal(text(pod, "containers.0.readinessProbe.httpGet.path"), "/readyz");
    assert.equal(pod.terminationGracePeriodSeconds, 60);
    assert.equal(at(the(declared, ":PodDisruptionBudget").inputs, "spec.maxUnavailable"), 1);
    const secret = the(declared, ":Secret");
    const files = secret.inputs.stringData as Record<string, string>;
    assert.deepEqual(JSON.parse(files["targets.json"]!), pool.targets);
    assert.equal(files.pgpass, "*:*:*:*:pool-secret");
    assert(secret.secrets.includes("stringData"), "the passwords are not a secret");
    const others = JSON.stringify(declared.filter((one) => one !== secret));
    assert.doesNotMatch(others, /pool-secret/);
  });

  it("runs a pool on the servers of a query, with passwords of an existing Secret", async () => {
    const query = "azure:Resources | project host = name" as const;
    const passwordSecrets = { passfile: { name: "fleet", key: "pgpass" } };
    const declared = await declarePool({ pool: { targets: query, user: "migrator" }, passwordSecrets });
    const pod = podOf(declared, ":StatefulSet");
    assert.deepEqual(at(pod, "containers.0.args"), ["--pool", "--targets", query, "--user", "migrator"]);
    assert.deepEqual(at(pod, "volumes.0.projected.sources.1"), {
      secret: { name: "fleet", items: [{ key: "pgpass", path: "pgpass" }] },
    });
    assert.deepEqual(the(declared, ":Secret").inputs.stringData, {});
  });

  it("mounts only the referenced passwords if the pool also has some", async () => {
    const declared = await declarePool({ passwordSecrets: { passfile: { name: "fleet", key: "pgpass" } } });
    const paths = list(podOf(declared, ":StatefulSet"), "volumes.0.projected.sources").flatMap((source) =>
      list(source, "secret.items").map((item) => [text(source, "secret.name"), text(item, "path")]),
    );
    assert.deepEqual(paths, [
      ["fleet-job-0a1b2c3d", "targets.json"],
      ["fleet", "pgpass"],
    ]);
    assert.doesNotMatch(JSON.stringify(declared), /pool-secret/);
  });

  for (const [what, targets] of [
    ["an output", pulumi.output([{ host: "db1" }])],
    ["a promise", Promise.resolve([{ host: "db1" }])],
  ] as const)
    it(`accepts ${what} as targets`, async () => {
      const declared = await declarePool({ pool: { ...pool, targets } });
      const files = the(declared, ":Secret").inputs.stringData as Record<string, string>;
      assert.equal(files["targets.json"], '[{"host":"db1"}]');
    });

  it("meets the restricted Pod Security Standard, with a read-only root file system", async () => {
    const pod = podOf(await declare());
    assert.deepEqual(at(pod, "containers.0.securityContext"), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assert.equal(at(pod, "securityContext.runAsNonRoot"), true);
    assert.deepEqual(at(pod, "securityContext.seccompProfile"), { type: "RuntimeDefault" });
    assert.equal(pod.automountServiceAccountToken, false);
    assert.equal(text(pod, "containers.0.livenessProbe.httpGet.path"), "/healthz");
    assert.equal(text(pod, "containers.0.readinessProbe.httpGet.path"), "/readyz");
    assert.deepEqual(at(pod, "containers.0.resources"), {
      requests: { cpu: "2", memory: "4Gi" },
      limits: { memory: "4Gi" },
    });
  });

  it("has passwords only in Secrets", async () => {
    const declared = await declare();
    const secret = the(declared, ":Secret");
    assert.deepEqual(secret.secrets, ["stringData"]);
    const others = declared.filter((one) => one !== secret).map(({ inputs }) => JSON.stringify(inputs));
    assert(!others.some((inputs) => /source-secret|target-secret/.test(inputs)));
    assert.deepEqual(storedJob(declared), job);
  });

  it("mounts referenced passwords as files, which replace those of the job", async () => {
    const passwordSecrets = { source: { name: "crm-source", key: "password" } };
    const declared = await declare({ passwordSecrets });
    assert.deepEqual(storedJob(declared).source, {
      host: "db1",
      user: "reader",
      passwordFile: "/run/pg-migration/source-password",
    });
    assert.deepEqual(at(podOf(declared), "volumes.0.projected.sources.1"), {
      secret: { name: "crm-source", items: [{ key: "password", path: "source-password" }] },
    });
  });

  it("starts other pods after a change of the job or of the attempt", async () => {
    const [first, second] = [await declare(), await declare({ attempt: 2 })].map((one) => the(one, ":Job").inputs);
    assert.notDeepEqual(at(first, "spec.template"), at(second, "spec.template"));
    assert.equal(at(podOf(await declare()), "volumes.0.projected.sources.0.secret.name"), "crm-job-0a1b2c3d");
    assert.equal(the(await declare(), ":Secret").inputs.immutable, true);
  });

  it("names every invalid property", async () => {
    const ofPool: Partial<KubernetesRunnerArgs> = { job: undefined, migrationMode: undefined, pool };
    const command = { kind: "command", command: "print-password" } as never;
    const wrong: [Partial<KubernetesRunnerArgs>, RegExp][] = [
      [{ image: "two words" }, /^image: expected registry\/repository:tag$/m],
      [{ replicas: 0, cpu: -1 }, /^replicas: .*\n?cpu: /m],
      [{ migrationMode: "offline" as never }, /^migrationMode: /m],
      [{ workload: "StatefulSet" }, /^workload: an offline migration needs a Job/m],
      [{ passwordSecrets: { source: { name: "Crm", key: "" } } }, /^passwordSecrets\.source\.name: .*lower-case/m],
      [{ passwordSecrets: { both: { name: "a", key: "b" } } as never }, /^passwordSecrets: .*both/m],
      [{ queueName: "a b" }, /^queueName: /m],
      [{ podLabels: { a: "b c" } }, /^podLabels\.a: /m],
      [{ job: undefined }, /^job: is missing: give job for one migration, or pool/m],
      [{ pool }, /^pool: job is also given: remove one of the two$/m],
      [{ migrationMode: undefined }, /^migrationMode: is missing/m],
      [{ job: undefined, pool }, /^migrationMode: a pool runs migrations of both modes/m],
      [{ ...ofPool, workload: "Job" }, /^workload: a pool needs a StatefulSet/m],
      [
        { ...ofPool, passwordSecrets: { source: { name: "a", key: "b" } } },
        /^passwordSecrets\.source: .*give passfile$/m,
      ],
      [{ passwordSecrets: { passfile: { name: "a", key: "b" } } }, /^passwordSecrets\.passfile: only a pool has/m],
      [{ ...ofPool, pool: { targets: [] } }, /^pool\.targets: expected a list with at least one target/m],
      [{ ...ofPool, pool: { targets: { host: "db1" } as never } }, /^pool\.targets: expected a list/m],
      [{ ...ofPool, pool: { ...pool, auth: command } }, /^pool\.auth: a pool cannot run commands/m],
      [
        { ...ofPool, pool: { targets: [{ host: "db1", auth: command }] } },
        /^pool\.targets: a pool cannot run commands/m,
      ],
      [{ ...ofPool, attempt: 2 }, /^attempt: a pool never ends: remove it$/m],
      [{ ...ofPool, pool: { ...pool, maxMigrations: 0 } }, /^pool\.maxMigrations: /m],
      [
        { ...ofPool, pool: { ...pool, sourceBudget: { rate: "0MB" } } },
        /^pool\.sourceBudget\.rate: expected at least 64/m,
      ],
      [{ ...ofPool, pool: { ...pool, targetBudget: { connections: 1 } } }, /^pool\.targetBudget\.connections: /m],
    ];
    for (const [changes, message] of wrong)
      await declaredBy(() =>
        assert.throws(() => new KubernetesRunner("crm", { ...usual, ...changes }), {
          name: "InvalidInputError",
          message,
        }),
      );
    await declaredBy(() => assert.throws(() => new KubernetesRunner("C_R", usual), /^InvalidInputError: name: /m));
  });
});
