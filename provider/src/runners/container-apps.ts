import { createHash } from "node:crypto";
import * as app from "@pulumi/azure-native/app";
import type * as azure from "@pulumi/azure-native/types";
import * as operationalinsights from "@pulumi/azure-native/operationalinsights";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { type AzureRegistry, declarePullIdentity, registryOf, type RegistryLogin } from "./azure-registry.js";
import { JobStart } from "./container-apps-start.js";
import {
  checkRunnerArgs,
  checkWork,
  referencedFiles,
  type ScheduledRunnerArgs,
  scheduledRunnerShape,
} from "./runner-args.js";
import { httpPort, secretFiles, secretsFolder, type WorkerStart, workerStart } from "./worker-files.js";

export type { AzureRegistry, RegistryLogin } from "./azure-registry.js";
export type { WorkerJobInput, WorkerServer } from "../worker/context/worker-job.js";
export type { PoolBudget, PoolTarget, WorkerPoolArgs } from "./worker-pool-args.js";

/** Passwords in Azure Key Vault. The runner's `identity` needs the role Key Vault Secrets User. */
export interface KeyVaultPasswords {
  /** `https://example.vault.azure.net/secrets/source-password` */
  readonly source?: string | undefined;
  readonly target?: string | undefined;
  /** Instead, for a pool: the content of its `passfile`. */
  readonly passfile?: string | undefined;
}

/** The managed environment: an existing one, or a new one in a subnet, with a Log Analytics workspace. */
export type ContainerAppsEnvironment =
  | { readonly id: pulumi.Input<string> }
  /** The subnet is delegated to Microsoft.App/environments. It has at least /27. */
  | { readonly subnetId: pulumi.Input<string> };

export interface ContainerAppsRunnerArgs extends ScheduledRunnerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  readonly environment: ContainerAppsEnvironment;
  /** Not needed for a public image. */
  readonly registry?: AzureRegistry | RegistryLogin | undefined;
  /** Resource id of a managed identity: for tokens (`auth.clientId` is its client id), and to read from Key Vault. */
  readonly identity?: pulumi.Input<string> | undefined;
  /** Replace the passwords in `job`, or the `passfile` of the pool. */
  readonly keyVaultPasswords?: KeyVaultPasswords | undefined;
  /** Offline: seconds after which Azure stops an execution. Default 604800, a week. */
  readonly replicaTimeoutSeconds?: number | undefined;
  /** Address of Azure Resource Manager in other clouds. Default https://management.azure.com. */
  readonly resourceManager?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

const secretUrl = z
  .string()
  .regex(
    /^https:\/\/[a-z0-9-]+\.vault\.[a-z.]+\/secrets\/[A-Za-z0-9-]+(\/[0-9a-f]+)?$/,
    "expected the URL of a secret in a vault: https://example.vault.azure.net/secrets/name",
  );

const argsSchema = z
  .object({
    ...scheduledRunnerShape,
    // The limit of Container Apps jobs.
    name: z
      .string()
      .regex(/^[a-z]([a-z0-9-]{0,27}[a-z0-9])?$/, "expected up to 29 lower-case letters, digits and hyphens"),
    cpu: z.number().min(0.25).max(4).default(2),
    memoryGb: z.number().min(0.5).max(8).optional(),
    identity: z.unknown().optional(),
    keyVaultPasswords: z
      .strictObject({ source: secretUrl.optional(), target: secretUrl.optional(), passfile: secretUrl.optional() })
      .default({}),
    replicaTimeoutSeconds: z.int().min(60).optional(),
    resourceManager: z.url({ protocol: /^https?$/ }).default("https://management.azure.com"),
  })
  .transform((args) => ({ ...args, memoryGb: args.memoryGb ?? 2 * args.cpu }))
  .refine(({ cpu, memoryGb }) => memoryGb === 2 * cpu && Number.isInteger(cpu * 4), {
    path: ["memoryGb"],
    error: "expected twice as many GiB as vCPUs, and vCPUs in steps of 0.25: the sizes of the consumption plan",
  })
  .superRefine(checkWork)
  .refine(
    ({ identity, keyVaultPasswords }) =>
      identity !== undefined || Object.values(keyVaultPasswords).every((url) => url === undefined),
    {
      path: ["identity"],
      error: "keyVaultPasswords needs a managed identity that may read the vault's secrets",
    },
  );

type Sizes = z.output<typeof argsSchema>;

/**
 * Runs a migration's workers in Azure Container Apps. Offline: a job, whose replicas share the copy and end with the
 * migration. Online: an app, whose replicas run until the migration is deleted. A pool: an app that runs the migrations of many
 * targets. Let a PgMigration with `runner: "external"`
 * depend on it.
 *
 * @example
 * const runner = new ContainerAppsRunner("crm", {
 *   ...{ resourceGroupName, location, image, job, identity, migrationMode: "Offline", replicas: 4 },
 *   environment: { subnetId },
 *   keyVaultPasswords: { source: "https://example.vault.azure.net/secrets/crm-source" },
 * });
 * new PgMigration("crm", { ...servers, runner: "external" }, { dependsOn: runner });
 */
export class ContainerAppsRunner extends pulumi.ComponentResource {
  readonly environmentId: pulumi.Output<string>;
  /** Offline. */
  readonly job: app.Job | undefined;
  /** Online, or a pool. */
  readonly containerApp: app.ContainerApp | undefined;

  /** @throws InvalidInputError if a property is invalid */
  constructor(name: string, args: ContainerAppsRunnerArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("pg-migration:runners:ContainerAppsRunner", name, {}, opts);
    const sizes = checkRunnerArgs(argsSchema, { ...args, name });
    this.environmentId = this.#declareEnvironment(name, args);
    const access = this.#declareAccess(name, args, sizes);
    if (sizes.migrationMode === "Offline") this.job = this.#declareJob(name, args, sizes, access);
    else this.containerApp = this.#declareApp(name, args, sizes, access);
    this.registerOutputs();
  }

  #declareEnvironment(name: string, { environment, resourceGroupName, location, tags = {} }: ContainerAppsRunnerArgs) {
    if ("id" in environment) return pulumi.output(environment.id);
    const workspaceName = `log-${name}`;
    const workspace = new operationalinsights.Workspace(
      workspaceName,
      {
        resourceGroupName,
        location,
        workspaceName,
        sku: { name: "PerGB2018" },
        retentionInDays: 30,
        tags: { ...tags },
      },
      { parent: this },
    );
    const keys = operationalinsights.getSharedKeysOutput({ resourceGroupName, workspaceName: workspace.name });
    return new app.ManagedEnvironment(
      `cae-${name}`,
      {
        resourceGroupName,
        location,
        environmentName: `cae-${name}`,
        vnetConfiguration: { infrastructureSubnetId: environment.subnetId, internal: true },
        workloadProfiles: [{ name: "Consumption", workloadProfileType: "Consumption" }],
        appLogsConfiguration: {
          destination: "log-analytics",
          logAnalyticsConfiguration: {
            customerId: workspace.customerId,
            sharedKey: pulumi.secret(keys.apply(({ primarySharedKey }) => primarySharedKey ?? "")),
          },
        },
        tags: { ...tags },
      },
      { parent: this },
    ).id;
  }

  #declareAccess(name: string, args: ContainerAppsRunnerArgs, sizes: Sizes): Access {
    const { registry, image, identity, resourceGroupName, location, tags = {} } = args;
    const start = workerStart(args, sizes, sizes.keyVaultPasswords);
    const secrets: Secret[] = Object.entries(start.files).map(([file, value]) => ({ name: secretName(file), value }));
    for (const file of referencedFiles) {
      const keyVaultUrl = sizes.keyVaultPasswords[file];
      if (keyVaultUrl !== undefined) secrets.push({ name: secretName(file), keyVaultUrl, identity: identity! });
    }
    const server = registryOf(image);
    if (registry && "username" in registry) {
      secrets.push({ name: "registry-password", value: pulumi.secret(registry.password) });
      const login = { server, username: registry.username, passwordSecretRef: "registry-password" };
      return { start, secrets, registries: [login], identities: identity === undefined ? [] : [identity], grants: [] };
    }
    if (!registry)
      return { start, secrets, registries: [], identities: identity === undefined ? [] : [identity], grants: [] };
    const pull = declarePullIdentity(name, { registry, resourceGroupName, location, tags: { ...tags } }, this);
    return {
      start,
      secrets,
      registries: [{ server, identity: pull.id }],
      identities: [pull.id, ...(identity === undefined ? [] : [identity])],
      grants: [pull.grant],
    };
  }

  #declareJob(name: string, args: ContainerAppsRunnerArgs, sizes: Sizes, access: Access): app.Job {
    const { resourceGroupName, location, tags = {} } = args;
    const { replicas, replicaTimeoutSeconds = 604_800, attempt = 1, resourceManager } = sizes;
    const job = new app.Job(
      `job-${name}`,
      {
        resourceGroupName,
        location,
        jobName: name,
        environmentId: this.environmentId,
        ...identityOf(access),
        configuration: {
          triggerType: "Manual",
          manualTriggerConfig: { parallelism: replicas, replicaCompletionCount: replicas },
          replicaTimeout: replicaTimeoutSeconds,
          // A replica that fails is started again, and resumes from the records.
          replicaRetryLimit: 10,
          secrets: access.secrets,
          registries: access.registries,
        },
        template: { containers: [container(args, sizes, access)], volumes: secretVolumes(access) },
        tags: { ...tags },
      },
      { parent: this, dependsOn: access.grants },
    );
    new JobStart(`start-${name}`, { resourceManager, jobId: job.id, attempt }, { parent: this, dependsOn: job });
    return job;
  }

  #declareApp(name: string, args: ContainerAppsRunnerArgs, sizes: Sizes, access: Access): app.ContainerApp {
    const { resourceGroupName, location, tags = {} } = args;
    const { replicas } = sizes;
    const probes = [probe("Liveness", "/healthz"), probe("Readiness", "/readyz")];
    return new app.ContainerApp(
      `ca-${name}`,
      {
        resourceGroupName,
        location,
        containerAppName: name,
        managedEnvironmentId: this.environmentId,
        ...identityOf(access),
        // No ingress: nothing outside the environment connects to a worker.
        configuration: { activeRevisionsMode: "Single", secrets: access.secrets, registries: access.registries },
        template: {
          containers: [{ ...container(args, sizes, access), probes }],
          volumes: secretVolumes(access),
          // Scaling to zero would stop the migration.
          scale: { minReplicas: replicas, maxReplicas: replicas },
          terminationGracePeriodSeconds: 60,
        },
        tags: { ...tags },
      },
      { parent: this, dependsOn: access.grants },
    );
  }
}

type Secret = azure.input.app.SecretArgs & { readonly name: string };

interface Access {
  readonly start: WorkerStart;
  readonly secrets: readonly Secret[] & azure.input.app.SecretArgs[];
  readonly registries: azure.input.app.RegistryCredentialsArgs[];
  readonly identities: pulumi.Input<string>[];
  /** Resources that must exist before an image can be pulled. */
  readonly grants: pulumi.Resource[];
}

const identityOf = ({ identities }: Access): Pick<app.JobArgs, "identity"> =>
  identities.length === 0 ? {} : { identity: { type: "UserAssigned", userAssignedIdentities: identities } };

/** Names of secrets have no dots. */
const secretName = (file: string): string => secretFiles[file as keyof typeof secretFiles].replace(/\.json$/, "");

/** The files of the worker. A volume without a list would have all secrets, also the registry's password. */
const secretVolumes = ({ secrets }: Access) => {
  const files = Object.entries(secretFiles)
    .filter(([file]) => secrets.some(({ name }) => name === secretName(file)))
    .map(([file, path]) => ({ secretRef: secretName(file), path }));
  return files.length === 0 ? [] : [{ name: "secrets", storageType: "Secret", secrets: files }];
};

const container = ({ image }: ContainerAppsRunnerArgs, { cpu, memoryGb }: Sizes, access: Access) => ({
  name: "worker",
  image,
  args: access.start.args,
  resources: { cpu, memory: `${memoryGb}Gi` },
  env: [
    ...Object.entries(access.start.environment).map(([name, value]) => ({ name, value })),
    ...revisionOf(access.start),
  ],
  volumeMounts: secretVolumes(access).map(({ name }) => ({ volumeName: name, mountPath: secretsFolder })),
});

/** A changed secret starts no other revision of an app. The digest of the targets does. */
const revisionOf = ({ files: { targets } }: WorkerStart): azure.input.app.EnvironmentVarArgs[] =>
  targets ? [{ name: "TARGETS_SHA256", value: targets.apply(sha256) }] : [];

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const probe = (type: "Liveness" | "Readiness", path: string): azure.input.app.ContainerAppProbeArgs => ({
  type,
  httpGet: { path, port: httpPort },
  periodSeconds: 10,
  timeoutSeconds: 6,
  failureThreshold: 6,
});
