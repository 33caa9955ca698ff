import { z } from "zod";
import { UnreachableError } from "../errors.js";

/** What Azure Resource Manager shows of a flexible server, and SQL does not. */
export interface AzureServer {
  readonly storageGib: number;
  readonly storageGrows: boolean;
  readonly hasStandby: boolean;
  /** Resource ids of the read replicas. */
  readonly replicas: readonly string[];
}

const apiVersion = "2025-08-01";

/** The address of the public cloud. */
export const resourceManager = "https://management.azure.com";

const serverSchema = z.object({
  properties: z.object({
    storage: z.object({ storageSizeGB: z.number(), autoGrow: z.string().nullish() }),
    highAvailability: z.object({ mode: z.string() }).nullish(),
  }),
});
const replicasSchema = z.object({ value: z.array(z.object({ id: z.string() })) });

interface AzureAccess {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly endpoint?: string;
}

/**
 * Reads a flexible server.
 *
 * @param id `/subscriptions/.../flexibleServers/<name>`
 * @throws UnreachableError when Azure refuses, answers in another form, or has not answered when the signal aborts
 */
export async function readAzureServer(
  id: string,
  { token, signal, endpoint = resourceManager }: AzureAccess,
): Promise<AzureServer> {
  const url = `${endpoint}${id.replace(/\/$/, "")}`;
  const [{ properties }, replicas] = await Promise.all([
    read(url, { token, signal }, serverSchema),
    read(`${url}/replicas`, { token, signal }, replicasSchema),
  ]);
  const mode = properties.highAvailability?.mode ?? "Disabled";
  return {
    storageGib: properties.storage.storageSizeGB,
    storageGrows: properties.storage.autoGrow?.toLowerCase() === "enabled",
    hasStandby: mode.toLowerCase() !== "disabled",
    replicas: replicas.value.map((replica) => replica.id),
  };
}

async function read<Answer>(url: string, { token, signal }: AzureAccess, schema: z.ZodType<Answer>): Promise<Answer> {
  try {
    const response = await fetch(`${url}?api-version=${apiVersion}`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: "error",
      signal,
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return schema.parse(await response.json());
  } catch (cause) {
    throw new UnreachableError(`Azure Resource Manager does not show ${url}: ${(cause as Error).message}`, { cause });
  }
}
