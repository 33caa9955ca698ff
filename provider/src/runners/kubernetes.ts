import * as k8s from "@pulumi/kubernetes";
import type * as kubernetes from "@pulumi/kubernetes/types";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { exitCodeOfSignal, finalExitCodes, stopSignals } from "../exit-codes.js";
import { containerName, podSpec, type SecretKey } from "./kubernetes-pod.js";
import { checkRunnerArgs, checkWork, type ScheduledRunnerArgs, scheduledRunnerShape } from "./runner-args.js";
import { httpPort, secretFiles, type WorkerStart, workerStart } from "./worker-files.js";

export type { WorkerJobInput, WorkerServer } from "../worker/context/worker-job.js";
export type { PoolBudget, PoolTarget, WorkerPoolArgs } from "./worker-pool-args.js";

export type { SecretKey } from "./kubernetes-pod.js";

export interface KubernetesRunnerArgs extends ScheduledRunnerArgs {
  /** Default: that of the provider. */
  readonly namespace?: string | undefined;
  /** Secrets with the passwords, which replace those in `job`. A pool has only `passfile`, which replaces its own. */
  readonly passwordSecrets?:
    { readonly source?: SecretKey; readonly target?: SecretKey; readonly passfile?: SecretKey } | undefined;
  /**
   * A Job frees the resources of its helpers after the copy, and ends with the migration. A StatefulSet runs until the
   * migration is deleted, and can be scaled. Default: `Job` offline, `StatefulSet` online. Offline migrations need a Job, and pools
   * a StatefulSet.
   */
  readonly workload?: "Job" | "StatefulSet" | undefined;
  /** Name of a Secret of type kubernetes.io/dockerconfigjson. Not needed for a public image. */
  readonly imagePullSecret?: string | undefined;
  /** For tokens of a workload identity, together with `podLabels`. */
  readonly serviceAccountName?: string | undefined;
  /** Additional labels of the pods: `{ "azure.workload.identity/use": "true" }`. */
  readonly podLabels?: Readonly<Record<string, string>> | undefined;
  /** Name of Kueue's LocalQueue, which admits the workers when its quota suffices. */
  readonly queueName?: string | undefined;
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly kubernetes.input.core.v1.Toleration[] | undefined;
}

const dnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "expected lower-case letters, digits, hyphens and dots");
const secretKey = z.strictObject({
  name: dnsName,
  key: z.string().regex(/^[\w.-]{1,253}$/, "expected letters, digits, - . or _"),
});
const labelValue = z
  .string()
  .regex(/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/, "expected up to 63 letters, digits, - . or _");

const argsSchema = z
  .object({
    ...scheduledRunnerShape,
    namespace: dnsName.max(63).optional(),
    passwordSecrets: z
      .strictObject({ source: secretKey.optional(), target: secretKey.optional(), passfile: secretKey.optional() })
      .default({}),
    workload: z.enum(["Job", "StatefulSet"]).optional(),
    imagePullSecret: dnsName.optional(),
    serviceAccountName: dnsName.optional(),
    podLabels: z.record(z.string(), labelValue).default({}),
    queueName: dnsName.optional(),
  })
  .superRefine(checkWork)
  .refine(({ migrationMode, workload }) => migrationMode !== "Offline" || workload !== "StatefulSet", {
    path: ["workload"],
    error: "an offline migration needs a Job: a StatefulSet would start its ended workers again and again",
  })
  .refine(({ pool, workload }) => !pool || workload !== "Job", {
    path: ["workload"],
    error: "a pool needs a StatefulSet: its processes never complete",
  });

type Checked = z.output<typeof argsSchema>;

/** Kubernetes replaces a worker that was stopped or evicted. If the user has to correct something, it starts no other one. */
const podFailurePolicy: kubernetes.input.batch.v1.PodFailurePolicy = {
  rules: [
    { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
    {
      action: "Ignore",
      onExitCodes: { containerName, operator: "In", values: stopSignals.map(exitCodeOfSignal).sort() },
    },
    { action: "FailJob", onExitCodes: { containerName, operator: "In", values: [...finalExitCodes] } },
  ],
};

/**
 * Runs a migration's workers, or a pool for those of many targets, in Kubernetes 1.33 or later. Let a PgMigration with
 * `runner: "external"` depend on it: it waits until a worker of the runner takes the lease.
 *
 * @example
 * const runner = new KubernetesRunner("crm", {
 *   ...{ image, job, migrationMode: "Offline", replicas: 4, namespace: "migrations" },
 *   passwordSecrets: { source: { name: "crm-source", key: "password" } },
 * });
 * new PgMigration("crm", { ...servers, runner: "external" }, { dependsOn: runner });
 */
export class KubernetesRunner extends pulumi.ComponentResource {
  /** Has the job, or the targets and passwords of a pool. */
  readonly jobSecret: k8s.core.v1.Secret;
  readonly workload: k8s.batch.v1.Job | k8s.apps.v1.StatefulSet;

  /** @throws InvalidInputError if a property is invalid */
  constructor(name: string, args: KubernetesRunnerArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("pg-migration:runners:KubernetesRunner", name, {}, opts);
    const checked = checkRunnerArgs(argsSchema, { ...args, name });
    const start = workerStart(args, checked, checked.passwordSecrets);
    const contents = Object.entries(start.files).map(([file, text]) => [
      secretFiles[file as keyof typeof secretFiles],
      text,
    ]);
    // Each content gets its own name, so that a change of the job starts new pods.
    this.jobSecret = new k8s.core.v1.Secret(
      `${name}-job`,
      {
        metadata: this.#metadata(undefined, checked),
        immutable: true,
        stringData: Object.fromEntries(contents) as Record<string, pulumi.Output<string>>,
      },
      { parent: this },
    );
    const template = this.#template(args, checked, start);
    const isJob = (checked.workload ?? (checked.migrationMode === "Offline" ? "Job" : "StatefulSet")) === "Job";
    this.#declareDisruptionBudget(checked, isJob);
    this.workload = isJob ? this.#declareJob(checked, template) : this.#declareStatefulSet(checked, template);
    this.registerOutputs();
  }

  #metadata(name: string | undefined, { namespace, name: runner }: Checked): kubernetes.input.meta.v1.ObjectMeta {
    return {
      ...(name !== undefined && { name }),
      ...(namespace !== undefined && { namespace }),
      labels: labelsOf(runner),
    };
  }

  #template(
    args: KubernetesRunnerArgs,
    checked: Checked,
    start: WorkerStart,
  ): kubernetes.input.core.v1.PodTemplateSpec {
    const { name, podLabels, attempt = 1 } = checked;
    const { nodeSelector, tolerations } = args;
    return {
      metadata: {
        labels: { ...podLabels, ...labelsOf(name) },
        annotations: { "pg-migration/attempt": String(attempt) },
      },
      spec: podSpec({ ...checked, start, nodeSelector, tolerations, jobSecret: this.jobSecret.metadata.name }),
    };
  }

  /** Each index is repeated until its worker has succeeded. A helper that has nothing more to copy is complete. */
  #declareJob(checked: Checked, template: kubernetes.input.core.v1.PodTemplateSpec): k8s.batch.v1.Job {
    const { name, replicas } = checked;
    const metadata = this.#metadata(name, checked);
    return new k8s.batch.v1.Job(
      name,
      {
        metadata: {
          ...metadata,
          labels: queueLabels(checked),
          // Pulumi must not wait for its end: the migration starts afterwards.
          annotations: { "pulumi.com/skipAwait": "true" },
        },
        spec: {
          completionMode: "Indexed",
          completions: replicas,
          parallelism: replicas,
          backoffLimitPerIndex: 10,
          podReplacementPolicy: "Failed",
          podFailurePolicy,
          template: { ...template, spec: withPolicy(template, "Never") },
        },
      },
      {
        parent: this,
        // The name is fixed, and a Job can hardly be changed.
        deleteBeforeReplace: true,
        replaceOnChanges: ["spec.template", "spec.completions"],
        // Kueue suspends and resumes the Job.
        ignoreChanges: ["spec.suspend"],
      },
    );
  }

  #declareStatefulSet(checked: Checked, template: kubernetes.input.core.v1.PodTemplateSpec): k8s.apps.v1.StatefulSet {
    const { name, replicas } = checked;
    const selector = labelsOf(name);
    const service = new k8s.core.v1.Service(
      name,
      {
        metadata: this.#metadata(name, checked),
        spec: { clusterIP: "None", selector, ports: [{ name: "http", port: httpPort, targetPort: "http" }] },
      },
      { parent: this, deleteBeforeReplace: true },
    );
    return new k8s.apps.v1.StatefulSet(
      name,
      {
        metadata: { ...this.#metadata(name, checked), labels: queueLabels(checked) },
        spec: {
          replicas,
          serviceName: service.metadata.name,
          podManagementPolicy: "Parallel",
          selector: { matchLabels: selector },
          template: { ...template, spec: withPolicy(template, "Always") },
        },
      },
      { parent: this, deleteBeforeReplace: true },
    );
  }

  /**
   * A copy loses its snapshot with its last worker, so a drain waits for it. A stream only pauses, and another pool process runs
   * the migrations of an evicted one. Pool processes are evicted one after the other. For pods of a Job, Kubernetes supports only
   * `minAvailable`.
   */
  #declareDisruptionBudget(checked: Checked, isJob: boolean): void {
    const { name } = checked;
    new k8s.policy.v1.PodDisruptionBudget(
      name,
      {
        metadata: this.#metadata(name, checked),
        spec: { selector: { matchLabels: labelsOf(name) }, ...(isJob ? { minAvailable: 1 } : { maxUnavailable: 1 }) },
      },
      { parent: this, deleteBeforeReplace: true },
    );
  }
}

const labelsOf = (runner: string): Record<string, string> => ({
  "app.kubernetes.io/name": "pg-migration",
  "app.kubernetes.io/instance": runner,
});

const queueLabels = ({ name, queueName }: Checked): Record<string, string> => ({
  ...labelsOf(name),
  ...(queueName !== undefined && { "kueue.x-k8s.io/queue-name": queueName }),
});

const withPolicy = (
  { spec }: kubernetes.input.core.v1.PodTemplateSpec,
  restartPolicy: "Always" | "Never",
): kubernetes.input.core.v1.PodSpec => ({ ...(spec as kubernetes.input.core.v1.PodSpec), restartPolicy });
