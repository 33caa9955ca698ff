import * as authorization from "@pulumi/azure-native/authorization";
import * as managedidentity from "@pulumi/azure-native/managedidentity";
import * as pulumi from "@pulumi/pulumi";

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

export interface PullOptions {
  readonly registry: AzureRegistry;
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  readonly tags: Record<string, string>;
}

/** An identity that may pull images, once the grant exists. */
export interface PullIdentity {
  readonly id: pulumi.Output<string>;
  readonly grant: pulumi.Resource;
}

/** The role AcrPull, whose id is the same in all of Azure. */
const pullRole = "7f951dda-4ed3-460d-a680-43fe172d538d";

/** Declares an identity that may pull from the registry. */
export function declarePullIdentity(
  name: string,
  { registry, resourceGroupName, location, tags }: PullOptions,
  parent: pulumi.Resource,
): PullIdentity {
  const identity = new managedidentity.UserAssignedIdentity(
    `id-${name}`,
    { resourceGroupName, location, resourceName: `id-${name}`, tags },
    { parent },
  );
  const grant = new authorization.RoleAssignment(
    `id-${name}-may-pull`,
    {
      principalId: identity.principalId,
      principalType: "ServicePrincipal",
      roleDefinitionId: pulumi.interpolate`${subscriptionOf(registry.id)}/providers/Microsoft.Authorization/roleDefinitions/${pullRole}`,
      scope: registry.id,
    },
    { parent },
  );
  return { id: identity.id, grant };
}

/** The registry in an image's name. Without one, it is Docker Hub. */
export function registryOf(image: string): string {
  const [first, ...rest] = image.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first!) ? first! : "index.docker.io";
}

const subscriptionOf = (id: pulumi.Input<string>): pulumi.Output<string> =>
  pulumi.output(id).apply((known) => known.split("/").slice(0, 3).join("/"));
