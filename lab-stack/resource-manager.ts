import { getClientToken, getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";
import type { LabConfig } from "./lab-config";
import { LabError } from "./lab-error";

/** Azure Resource Manager has answered with an error. */
export class ResourceManagerError extends LabError {}

/**
 * A resource, or list of resources, that azure-native has no function for, read with the token that azure-native itself
 * logs in with. Nothing is read before `ready` exists, so in a preview the answer may be unknown.
 *
 * @throws ResourceManagerError, in the output
 */
export function readResource(
  { resourceManager }: Pick<LabConfig, "resourceManager">,
  path: pulumi.Input<string>,
  apiVersion: string,
  ready: pulumi.Input<pulumi.Resource>,
): pulumi.Output<unknown> {
  const token = getClientTokenOutput({}, { dependsOn: ready }).token;
  return pulumi
    .all([path, token])
    .apply(([known, bearer]) => get(`${resourceManager}${known}?api-version=${apiVersion}`, bearer));
}

/** The same for what exists before the program runs, and decides what it declares. @throws ResourceManagerError */
export async function readExisting(
  { resourceManager }: Pick<LabConfig, "resourceManager">,
  path: string,
  apiVersion: string,
): Promise<unknown> {
  const { token } = await getClientToken();
  return get(`${resourceManager}${path}?api-version=${apiVersion}`, token);
}

async function get(url: string, token: string): Promise<unknown> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  if (response.ok) return response.json();
  throw new ResourceManagerError(`GET ${url}: ${response.status} ${await response.text()}`);
}
