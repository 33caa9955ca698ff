import { setTimeout as sleep } from "node:timers/promises";
import { getClientToken, getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { LabConfig } from "./lab-config";
import { LabError } from "./lab-error";

/** Azure Resource Manager has answered with an error. */
export class ResourceManagerError extends LabError {}

/** What follows from a change may come a while after Azure has called the change done. */
const completeWithinMs = 120_000;
const pollMs = 1_000;

/**
 * A list of resources that azure-native has no function for, read with the token that azure-native itself logs in with, and
 * read again until something is in it, for two minutes at most. Nothing is read before `ready` exists, so in a preview the
 * answer may be unknown.
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

/** The same for what exists before the program runs, and decides what it declares. @throws ResourceManagerError */
export async function readExisting(
  { resourceManager }: Pick<LabConfig, "resourceManager">,
  path: string,
  apiVersion: string,
): Promise<unknown> {
  const { token } = await getClientToken();
  return get(`${resourceManager}${path}?api-version=${apiVersion}`, token);
}

/** Long enough for the longest list that the lab reads, a server's parameters. */
const answerMs = 60_000;

/** What Azure answers; the further pages of a list are joined to its first one. @throws ResourceManagerError */
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
    const signal = AbortSignal.timeout(answerMs);
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
    if (response.ok) return await response.json();
    throw new ResourceManagerError(`GET ${url}: ${response.status} ${await response.text()}`);
  } catch (cause) {
    if (cause instanceof ResourceManagerError) throw cause;
    throw new ResourceManagerError(`GET ${url}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
