import * as authorization from "@pulumi/azure-native/authorization";
import * as containerinstance from "@pulumi/azure-native/containerinstance";
import * as managedidentity from "@pulumi/azure-native/managedidentity";
import * as pulumi from "@pulumi/pulumi";
import type { WorkerJob } from "pulumi-pg-migration";

/** An Azure container registry. The runner receives an identity with permission to pull from it. */
export interface AzureRegistry {
  /** The registry's resource id. */
  readonly id: pulumi.Input<string>;
}

/** A user of another registry. */
export interface RegistryLogin {
  readonly username: pulumi.Input<string>;
  readonly password: pulumi.Input<string>;
}

export interface MigrationRunnerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** Delegated to Microsoft.ContainerInstance/containerGroups, with a NAT gateway for pulling the image. */
  readonly subnetId: pulumi.Input<string>;
  /** The image built from the repository's Dockerfile: `example.azurecr.io/pg-migration:0.1.0`. */
  readonly image: string;
  /** Not needed for a public image. */
  readonly registry?: AzureRegistry | RegistryLogin | undefined;
  /** May contain passwords, so it is sent as a secret. */
  readonly job: pulumi.Input<WorkerJob>;
  /** Resource id of a managed identity with which the worker obtains tokens: `auth.clientId` is its client id. */
  readonly identity?: pulumi.Input<string> | undefined;
  /** Worker processes, each in its own container. Default 1. */
  readonly replicas?: number | undefined;
  /** vCPUs of each container. Default 2. */
  readonly cpu?: number | undefined;
  /** Memory of each container in GiB. Default 4. */
  readonly memoryGb?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** The role AcrPull, whose id is the same in all of Azure. */
const pullRole = "7f951dda-4ed3-460d-a680-43fe172d538d";

/** Azure's DNS server, which resolves zones linked to the network. Containers do not inherit the network's servers. */
const azureDns = "168.63.129.16";

/**
 * Runs a migration's worker in a virtual network, like the runtime server of Microsoft's service. Let a PgMigration with
 * `runner: "external"` depend on it: it waits until a worker of the runner takes the lease. Azure restarts a container
 * whose process fails, and the worker resumes from the migration's records. It ends when the migration is deleted.
 *
 * @example
 * const runner = new MigrationRunner("crm", { resourceGroupName, location, subnetId, image, job });
 * new PgMigration("crm", { ...servers, runner: "external" }, { dependsOn: runner });
 */
export class MigrationRunner extends pulumi.ComponentResource {
  readonly containerGroups: readonly containerinstance.ContainerGroup[];

  constructor(name: string, args: MigrationRunnerArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("pg-migration-lab:index:MigrationRunner", name, {}, opts);
    const access = this.#declareRegistryAccess(name, args);
    const replicas = Array.from({ length: args.replicas ?? 1 }, (_, index) => `ci-${name}-${index + 1}`);
    this.containerGroups = replicas.map((group) => this.#containerGroup(group, args, access));
    this.registerOutputs();
  }

  #containerGroup(name: string, args: MigrationRunnerArgs, access: RegistryAccess): containerinstance.ContainerGroup {
    const { resourceGroupName, location, subnetId, image, job, cpu = 2, memoryGb: memoryInGB = 4, tags = {} } = args;
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
    { registry, image, resourceGroupName, location, tags = {} }: MigrationRunnerArgs,
  ): RegistryAccess {
    if (!registry) return { properties: {}, grants: [] };
    const server = registryOf(image);
    if ("username" in registry)
      return { properties: { imageRegistryCredentials: [{ server, ...registry }] }, grants: [] };
    const identity = new managedidentity.UserAssignedIdentity(
      `id-${name}`,
      { resourceGroupName, location, resourceName: `id-${name}`, tags: { ...tags } },
      { parent: this },
    );
    const grant = new authorization.RoleAssignment(
      `id-${name}-may-pull`,
      {
        principalId: identity.principalId,
        principalType: "ServicePrincipal",
        roleDefinitionId: pulumi.interpolate`${subscriptionOf(registry.id)}/providers/Microsoft.Authorization/roleDefinitions/${pullRole}`,
        scope: registry.id,
      },
      { parent: this },
    );
    return {
      identity: identity.id,
      properties: { imageRegistryCredentials: [{ server, identity: identity.id }] },
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

/** The registry in an image's name. Without one, it is Docker Hub. */
export function registryOf(image: string): string {
  const [first, ...rest] = image.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first!) ? first! : "index.docker.io";
}

const subscriptionOf = (id: pulumi.Input<string>): pulumi.Output<string> =>
  pulumi.output(id).apply((known) => known.split("/").slice(0, 3).join("/"));
