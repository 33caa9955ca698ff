import * as containerinstance from "@pulumi/azure-native/containerinstance";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { type AzureRegistry, declarePullIdentity, registryOf, type RegistryLogin } from "./azure-registry.js";
import { checkRunnerArgs, checkWork, type RunnerArgs, runnerShape } from "./runner-args.js";
import { secretFiles, secretsFolder, type WorkerStart, workerStart } from "./worker-files.js";

export type { AzureRegistry, RegistryLogin } from "./azure-registry.js";
export type { WorkerJobInput, WorkerServer } from "../worker/context/worker-job.js";
export type { PoolBudget, PoolTarget, WorkerPoolArgs } from "./worker-pool-args.js";

export interface ContainerGroupRunnerArgs extends RunnerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** Delegated to Microsoft.ContainerInstance/containerGroups, with a NAT gateway for pulling the image. */
  readonly subnetId: pulumi.Input<string>;
  /** Not needed for a public image. */
  readonly registry?: AzureRegistry | RegistryLogin | undefined;
  /** Resource id of a managed identity with which the worker obtains tokens: `auth.clientId` is its client id. */
  readonly identity?: pulumi.Input<string> | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

// Container Instances have no rules for exit codes, so that workers of every migration stay until it is deleted.
const argsSchema = z
  .object(runnerShape)
  .transform((args) => ({ ...args, migrationMode: args.pool ? undefined : ("Online" as const) }))
  .superRefine(checkWork);

type Checked = z.output<typeof argsSchema>;

/** Container Instances replace the image's entry point, and have no property for its arguments alone. */
const entrypoint = ["/usr/local/bin/node", "bin/pg-migration.js", "worker"];

/** Azure's DNS server, which resolves zones linked to the network. Containers do not inherit the network's servers. */
const azureDns = "168.63.129.16";

/**
 * Runs a migration's workers in Azure Container Instances, in a virtual network. Let a PgMigration with
 * `runner: "external"` depend on it: it waits until a worker of the runner takes the lease. Azure restarts a container
 * whose process fails, and the worker resumes from the migration's records. It ends when the migration is deleted. A pool runs
 * the migrations of many targets, and Azure restarts each of its containers until the runner is deleted.
 *
 * @example
 * const runner = new ContainerGroupRunner("crm", { resourceGroupName, location, subnetId, image, job });
 * new PgMigration("crm", { ...servers, runner: "external" }, { dependsOn: runner });
 */
export class ContainerGroupRunner extends pulumi.ComponentResource {
  readonly containerGroups: readonly containerinstance.ContainerGroup[];

  /** @throws InvalidInputError if a property is invalid */
  constructor(name: string, args: ContainerGroupRunnerArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("pg-migration:runners:ContainerGroupRunner", name, {}, opts);
    const checked = checkRunnerArgs(argsSchema, { ...args, name });
    const access = this.#declareRegistryAccess(name, args);
    const start = workerStart(args, checked, {});
    const groups = Array.from({ length: checked.replicas }, (_, index) => `ci-${name}-${index + 1}`);
    this.containerGroups = groups.map((group) => this.#containerGroup(group, args, checked, { access, start }));
    this.registerOutputs();
  }

  #containerGroup(
    name: string,
    args: ContainerGroupRunnerArgs,
    checked: Checked,
    { access, start }: { readonly access: RegistryAccess; readonly start: WorkerStart },
  ): containerinstance.ContainerGroup {
    const { resourceGroupName, location, subnetId, tags = {} } = args;
    const identities = [access.identity, args.identity].filter((one) => one !== undefined);
    return new containerinstance.ContainerGroup(
      name,
      {
        resourceGroupName,
        location,
        containerGroupName: name,
        osType: "Linux",
        // A worker ends with its migration. A pool process never does, and ends only when Azure stops it.
        restartPolicy: checked.pool ? "Always" : "OnFailure",
        subnetIds: [{ id: subnetId }],
        dnsConfig: { nameServers: [azureDns] },
        ...(identities.length > 0 && {
          identity: { type: "UserAssigned" as const, userAssignedIdentities: identities },
        }),
        ...access.properties,
        containers: [container(checked, start)],
        volumes: secretVolumes(start),
        tags: { ...tags },
      },
      {
        parent: this,
        dependsOn: access.grants,
        // Azure can change almost nothing of an existing container, and a container holds no data.
        replaceOnChanges: [
          ...["containers", "volumes", "restartPolicy", "subnetIds", "imageRegistryCredentials"],
          ...["identity", "dnsConfig"],
        ],
        deleteBeforeReplace: true,
      },
    );
  }

  #declareRegistryAccess(
    name: string,
    { registry, image, resourceGroupName, location, tags = {} }: ContainerGroupRunnerArgs,
  ): RegistryAccess {
    if (!registry) return { properties: {}, grants: [] };
    const server = registryOf(image);
    if ("username" in registry)
      return { properties: { imageRegistryCredentials: [{ server, ...registry }] }, grants: [] };
    const { id, grant } = declarePullIdentity(name, { registry, resourceGroupName, location, tags: { ...tags } }, this);
    return {
      identity: id,
      properties: { imageRegistryCredentials: [{ server, identity: id }] },
      grants: [grant],
    };
  }
}

interface RegistryAccess {
  readonly identity?: pulumi.Output<string>;
  readonly properties: Pick<containerinstance.ContainerGroupArgs, "imageRegistryCredentials">;
  /** Resources that must exist before an image can be pulled. */
  readonly grants: pulumi.Resource[];
}

const container = ({ image, cpu, memoryGb }: Checked, start: WorkerStart) => ({
  name: "worker",
  image,
  command: [...entrypoint, ...start.args],
  resources: { requests: { cpu, memoryInGB: memoryGb } },
  environmentVariables: Object.entries(start.environment).map(([name, value]) => ({ name, value })),
  volumeMounts: secretVolumes(start).map(({ name }) => ({ name, mountPath: secretsFolder, readOnly: true })),
});

/** Azure expects the content of each file in base64. A pool that queries its targets with tokens has no file. */
const secretVolumes = ({ files }: WorkerStart) => {
  const contents = Object.entries(files).map(([file, content]) => [
    secretFiles[file as keyof typeof secretFiles],
    content.apply((text) => Buffer.from(text).toString("base64")),
  ]);
  return contents.length === 0
    ? []
    : [{ name: "secrets", secret: Object.fromEntries(contents) as Record<string, pulumi.Output<string>> }];
};
