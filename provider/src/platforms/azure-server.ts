import { z } from "zod";
import { UnreachableError } from "../errors.js";

/** What Azure Resource Manager shows of a flexible server, and SQL does not. */
export interface AzureServer {
  readonly storageGib: number;
  readonly hasStandby: boolean;
  /** Names of the read replicas. */
  readonly replicas: readonly string[];
}

const apiVersion = "2025-08-01";
const timeoutMs = 15_000;

/** Of the public cloud. */
export const resourceManager = "https://management.azure.com";

const serverSchema = z.object({
  properties: z.object({
    storage: z.object({ storageSizeGB: z.number() }),
    highAvailability: z.object({ mode: z.string() }).nullish(),
  }),
});
const replicasSchema = z.object({ value: z.array(z.object({ name: z.string() })) });

/**
 * Reads a flexible server.
 *
 * @param id `/subscriptions/.../flexibleServers/<name>`
 * @throws UnreachableError when Azure refuses, does not answer, or answers in another form
 */
export async function readAzureServer(id: string, token: string, endpoint = resourceManager): Promise<AzureServer> {
  const path = id.replace(/\/$/, "");
  const { properties } = await read(`${endpoint}${path}`, token, serverSchema);
  const replicas = await read(`${endpoint}${path}/replicas`, token, replicasSchema);
  const mode = properties.highAvailability?.mode ?? "Disabled";
  return {
    storageGib: properties.storage.storageSizeGB,
    hasStandby: mode.toLowerCase() !== "disabled",
    replicas: replicas.value.map(({ name }) => name),
  };
}

async function read<Answer>(url: string, token: string, schema: z.ZodType<Answer>): Promise<Answer> {
  try {
    const response = await fetch(`${url}?api-version=${apiVersion}`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return schema.parse(await response.json());
  } catch (cause) {
    throw new UnreachableError(`Azure Resource Manager does not show ${url}: ${(cause as Error).message}`, { cause });
  }
}
