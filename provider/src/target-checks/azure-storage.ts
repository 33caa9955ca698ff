import { withTimeout } from "../async/with-timeout.js";
import { UnreachableError, messageOf } from "../errors.js";
import type { Problem } from "../findings.js";
import { readAzureServer, resourceManager, type AzureServer } from "../platforms/azure-server.js";
import type { Authentication } from "../postgres/authentication/authentication.js";
import { entraToken } from "../postgres/authentication/entra-token.js";

/** For the token and all requests together. */
const timeoutMs = 15_000;

/**
 * Reads the target from Azure, with the identity of its login, otherwise with that of the environment or of `az login`.
 *
 * @param id `/subscriptions/.../flexibleServers/<name>`
 * @throws UnreachableError without access
 */
export async function readAzureTarget(id: string, auth: Authentication | undefined): Promise<AzureServer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const login = auth?.kind === "entra" ? auth : { kind: "entra" as const };
  const issue = entraToken({ ...login, scope: `${resourceManager}/.default` });
  const issued = await withTimeout(issue(), timeoutMs).catch((cause: unknown) => {
    throw new UnreachableError(`Microsoft Entra issues no token: ${messageOf(cause)}`, { cause });
  });
  if (!issued) throw new UnreachableError(`no token of Microsoft Entra was issued within ${timeoutMs / 1000} s`);
  return readAzureServer(id, { token: issued.text, signal });
}

/**
 * PGM-826: the storage of a flexible server does not grow automatically.
 *
 * @see https://learn.microsoft.com/en-us/azure/postgresql/scale/how-to-auto-grow-storage
 */
export function storageProblems(id: string, { storageGib, storageGrows }: AzureServer): Problem[] {
  if (storageGrows) return [];
  return [
    {
      ...{ type: "ServerParametersValidation", state: "Warning", objectType: "Instance", object: "storage" },
      code: "PGM-826",
      message: `the storage of the target (${storageGib} GiB) does not grow automatically: when it is nearly full, applications can no longer write`,
      remedy: `az postgres flexible-server update --ids ${id} --storage-auto-grow Enabled`,
    },
  ];
}
