import { setTimeout as sleep } from "node:timers/promises";
import { getClientToken, getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { LabConfig } from "./config/lab-schema";
import { LabError } from "./lab-error";

/** A request to Azure Resource Manager failed. */
export class ResourceManagerError extends LabError {}

/** Azure may complete a change some time after it reported success. */
const completeWithinMs = 120_000;
const pollMs = 1_000;

/**
 * Reads a list of resources for which azure-native has no function, with azure-native's token. Retries for up to two
 * minutes while the list is empty. Waits until `ready` exists, so the output may be unknown in a preview.
 *
 * @throws ResourceManagerError, in the output
 */
export function readList(
  { resourceManager }: Pick<LabConfig, "resourceManager">,
  path: pulumi.Input<string>,
  apiVersion: string,
  ready: pulumi.Input<pulumi.Resource>,
): pulumi.Output<unknown> {
  const token = getClientTokenOutput({}, { dependsOn: ready }).token;
  return pulumi
    .all([path, token])
    .apply(([known, bearer]) => getFilled(`${resourceManager}${known}?api-version=${apiVersion}`, bearer));
}

async function getFilled(url: string, token: string): Promise<unknown> {
  const deadline = Date.now() + (pulumi.runtime.isDryRun() ? 0 : completeWithinMs);
  for (;;) {
    const list = await get(url, token);
    if ((list.value ?? []).length > 0 || Date.now() >= deadline) return list;
    await sleep(pollMs);
  }
}

/** Reads a resource that exists before the program runs. @throws ResourceManagerError */
export async function readExisting(
  { resourceManager }: Pick<LabConfig, "resourceManager">,
  path: string,
  apiVersion: string,
): Promise<unknown> {
  const { token } = await getClientToken();
  return get(`${resourceManager}${path}?api-version=${apiVersion}`, token);
}

/** Sufficient for a server's parameters, the longest list that the lab reads. */
const requestTimeoutMs = 60_000;

/** Reads a resource, or all pages of a list. @throws ResourceManagerError */
async function get(url: string, token: string): Promise<Page> {
  const page = pageSchema.parse(await getPage(url, token));
  if (!page.nextLink || !page.value) return page;
  const rest = await get(page.nextLink, token);
  return { ...page, value: [...page.value, ...(rest.value ?? [])] };
}

type Page = z.output<typeof pageSchema>;

const pageSchema = z.looseObject({ value: z.array(z.unknown()).optional(), nextLink: z.string().nullish() });

async function getPage(url: string, token: string): Promise<unknown> {
  try {
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
    if (response.ok) return await response.json();
    throw new ResourceManagerError(`GET ${url}: ${response.status} ${await response.text()}`);
  } catch (cause) {
    if (cause instanceof ResourceManagerError) throw cause;
    throw new ResourceManagerError(`GET ${url}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
