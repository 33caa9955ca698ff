import * as containerinstance from "@pulumi/azure-native/containerinstance";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { WorkerJobInput } from "../worker/context/worker-job.js";
import { type AzureRegistry, declarePullIdentity, registryOf, type RegistryLogin } from "./azure-registry.js";
import { checkRunnerArgs, type RunnerArgs, runnerShape } from "./runner-args.js";

export type { AzureRegistry, RegistryLogin } from "./azure-registry.js";
export type { WorkerJobInput, WorkerServer } from "../worker/context/worker-job.js";

export interface ContainerGroupRunnerArgs extends RunnerArgs {
  /** The servers and the name of the migration. May contain passwords, so it is sent as a secure variable. */
  readonly job: pulumi.Input<WorkerJobInput>;
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

/** Azure's DNS server, which resolves zones linked to the network. Containers do not inherit the network's servers. */
const azureDns = "168.63.129.16";

/**
 * Runs a migration's workers in Azure Container Instances, in a virtual network. Let a PgMigration with
 * `runner: "external"` depend on it: it waits until a worker of the runner takes the lease. Azure restarts a container
 * whose process fails, and the worker resumes from the migration's records. It ends when the migration is deleted.
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
    const sizes = checkRunnerArgs(z.object(runnerShape), { ...args, name });
    const access = this.#declareRegistryAccess(name, args);
    const groups = Array.from({ length: sizes.replicas }, (_, index) => `ci-${name}-${index + 1}`);
    this.containerGroups = groups.map((group) => this.#containerGroup(group, { ...args, ...sizes }, access));
    this.registerOutputs();
  }

  #containerGroup(
    name: string,
    args: ContainerGroupRunnerArgs & z.output<z.ZodObject<typeof runnerShape>>,
    access: RegistryAccess,
  ): containerinstance.ContainerGroup {
    const { resourceGroupName, location, subnetId, image, job, cpu, memoryGb: memoryInGB, tags = {} } = args;
    const identities = [access.identity, args.identity].filter((one) => one !== undefined);
    return new containerinstance.ContainerGroup(
      name,
      {
        resourceGroupName,
        location,
        containerGroupName: name,
        osType: "Linux",
        restartPolicy: "OnFailure",
        subnetIds: [{ id: subnetId }],
        dnsConfig: { nameServers: [azureDns] },
        ...(identities.length > 0 && {
          identity: { type: "UserAssigned" as const, userAssignedIdentities: identities },
        }),
        ...access.properties,
        containers: [
          {
            name: "worker",
            image,
            resources: { requests: { cpu, memoryInGB } },
            environmentVariables: [
              { name: "PG_MIGRATION_JOB", secureValue: pulumi.secret(pulumi.output(job).apply(JSON.stringify)) },
            ],
          },
        ],
        tags: { ...tags },
      },
      {
        parent: this,
        dependsOn: access.grants,
        // Azure can change almost nothing of an existing container, and a container holds no data.
        replaceOnChanges: ["containers", "subnetIds", "imageRegistryCredentials", "identity", "dnsConfig"],
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
