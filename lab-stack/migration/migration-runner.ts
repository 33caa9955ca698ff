import * as authorization from "@pulumi/azure-native/authorization";
import * as containerinstance from "@pulumi/azure-native/containerinstance";
import * as managedidentity from "@pulumi/azure-native/managedidentity";
import * as pulumi from "@pulumi/pulumi";
import type { WorkerJob } from "pulumi-pg-migration";

/** A registry of Azure's: the runner gets an identity that may pull from it. */
export interface AzureRegistry {
  /** The registry's resource id. */
  readonly id: pulumi.Input<string>;
}

/** A user of any other registry. */
export interface RegistryLogin {
  readonly username: pulumi.Input<string>;
  readonly password: pulumi.Input<string>;
}

export interface MigrationRunnerArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** Delegated to Microsoft.ContainerInstance/containerGroups, with a NAT gateway, by which the image is pulled. */
  readonly subnetId: pulumi.Input<string>;
  /** What the repository's Dockerfile makes, with its registry: `example.azurecr.io/pg-migration:0.1.0`. */
  readonly image: string;
  /** Left out where anybody may pull the image. */
  readonly registry?: AzureRegistry | RegistryLogin | undefined;
  /** Secret: passwords are in it. */
  readonly job: pulumi.Input<WorkerJob>;
  /** Worker processes, each in a container of its own. Default 1. */
  readonly replicas?: number | undefined;
  /** Of each container. Default 2. */
  readonly cpu?: number | undefined;
  /** Of each container, in GiB. Default 4. */
  readonly memoryGb?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** Azure's role AcrPull, which has one id in all of Azure. */
const pullRole = "7f951dda-4ed3-460d-a680-43fe172d538d";

/** Azure's own DNS server, which knows the zones that are linked to the network; containers do not inherit the network's. */
const azureDns = "168.63.129.16";

/**
 * A migration's worker in a virtual network: what Azure's service calls a runtime server. A PgMigration with
 * `runner: "external"` that depends on it waits for a worker of it to take the lease. A container whose process dies is
 * started again, and its worker goes on from the migration's records; the worker ends once the migration is deleted.
 */
export class MigrationRunner extends pulumi.ComponentResource {
  readonly containerGroups: readonly containerinstance.ContainerGroup[];

  constructor(name: string, args: MigrationRunnerArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("pg-migration-lab:index:MigrationRunner", name, {}, opts);
    const pull = this.#mayPull(name, args);
    const replicas = Array.from({ length: args.replicas ?? 1 }, (_, index) => `ci-${name}-${index + 1}`);
    this.containerGroups = replicas.map((group) => this.#containerGroup(group, args, pull));
    this.registerOutputs();
  }

  #containerGroup(name: string, args: MigrationRunnerArgs, pull: Pull): containerinstance.ContainerGroup {
    const { resourceGroupName, location, subnetId, image, job, cpu = 2, memoryGb: memoryInGB = 4, tags = {} } = args;
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
        ...pull.properties,
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
        dependsOn: pull.granted,
        // Azure changes hardly anything of a container that exists, and there is nothing in it to lose.
        replaceOnChanges: ["containers", "subnetIds", "imageRegistryCredentials", "identity", "dnsConfig"],
        deleteBeforeReplace: true,
      },
    );
  }

  #mayPull(name: string, { registry, image, resourceGroupName, location, tags = {} }: MigrationRunnerArgs): Pull {
    if (!registry) return { properties: {}, granted: [] };
    const server = registryOf(image);
    if ("username" in registry)
      return { properties: { imageRegistryCredentials: [{ server, ...registry }] }, granted: [] };
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
      properties: {
        identity: { type: "UserAssigned", userAssignedIdentities: [identity.id] },
        imageRegistryCredentials: [{ server, identity: identity.id }],
      },
      granted: [grant],
    };
  }
}

interface Pull {
  readonly properties: Pick<containerinstance.ContainerGroupArgs, "identity" | "imageRegistryCredentials">;
  /** What has to be there before an image can be pulled. */
  readonly granted: pulumi.Resource[];
}

/** The registry in an image's name; Docker's own where it names none. */
export function registryOf(image: string): string {
  const [first, ...rest] = image.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first!) ? first! : "index.docker.io";
}

const subscriptionOf = (id: pulumi.Input<string>): pulumi.Output<string> =>
  pulumi.output(id).apply((known) => known.split("/").slice(0, 3).join("/"));
