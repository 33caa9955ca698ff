import { z } from "zod";
import { RefusedError, UnreachableError, messageOf } from "../../errors.js";
import type { ListLine } from "../../inputs/lists/list-line.js";
import { currentToken } from "../../postgres/authentication/tokens.js";

/** How to reach Azure Resource Manager. */
export interface ResourceManager {
  readonly endpoint: string;
  readonly token: () => Promise<string>;
  readonly fetch: typeof fetch;
}

/** All flexible servers that the identity may read. */
export const allFlexibleServers =
  "resources | where type =~ 'microsoft.dbforpostgresql/flexibleservers' | where properties.state =~ 'Ready' " +
  "| project name, host = properties.fullyQualifiedDomainName | order by name asc";

const publicEndpoint = "https://management.azure.com";

/** The public cloud, or the one of AZURE_RESOURCE_MANAGER_ENDPOINT. The identity is that of `@azure/identity`. */
export function resourceManager(environment: NodeJS.ProcessEnv = process.env): ResourceManager {
  const endpoint = environment.AZURE_RESOURCE_MANAGER_ENDPOINT ?? publicEndpoint;
  const { hostname } = new URL(endpoint);
  const login = { host: hostname, port: 443, user: "" };
  return {
    endpoint,
    token: () => currentToken({ kind: "entra", scope: `https://${hostname}/.default` }, login),
    fetch,
  };
}

/** "Resources - Resources", version 2022-10-01, of the REST reference of Azure Resource Graph. */
const answerSchema = z.object({
  data: z.array(z.record(z.string(), z.unknown())),
  $skipToken: z.string().min(1).optional(),
});

const timeoutMs = 30_000;

/**
 * Runs a query of Azure Resource Graph, and reads all pages of its answer. The place of a problem is the number of its row.
 *
 * @throws UnreachableError, RefusedError with the answer of Azure
 */
export async function queryResourceGraph(query: string, manager: ResourceManager): Promise<ListLine[]> {
  const rows: Record<string, unknown>[] = [];
  let skipToken: string | undefined;
  do {
    const page = await requestPage(query, skipToken, manager);
    rows.push(...page.data);
    skipToken = page.$skipToken;
  } while (skipToken !== undefined);
  return rows.map((row, index) => ({ line: index + 1, values: withoutNulls(row) }));
}

async function requestPage(
  query: string,
  skipToken: string | undefined,
  { endpoint, token, fetch }: ResourceManager,
): Promise<z.infer<typeof answerSchema>> {
  const url = new URL("/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01", endpoint);
  const headers = { authorization: `Bearer ${await token()}`, "content-type": "application/json" };
  const options = { resultFormat: "objectArray", ...(skipToken === undefined ? {} : { $skipToken: skipToken }) };
  const body = JSON.stringify({ query, options });
  const response = await fetch(url, {
    ...{ method: "POST", headers, body },
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((cause: unknown) => {
    throw new UnreachableError(`Azure Resource Graph does not answer at ${url.origin}: ${messageOf(cause)}`, { cause });
  });
  const text = await response.text();
  if (!response.ok)
    throw new RefusedError(`Azure Resource Graph refused the query with ${response.status}: ${text.slice(0, 500)}`, {
      remedy: "correct the query, or grant the identity the role Reader on the subscriptions",
    });
  const answer = answerSchema.safeParse(jsonOf(text));
  if (answer.success) return answer.data;
  throw new RefusedError(`the answer of ${url.origin} is not that of Azure Resource Graph: ${text.slice(0, 500)}`, {
    remedy: "check AZURE_RESOURCE_MANAGER_ENDPOINT, and proxies between this machine and Azure",
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Resource Graph returns null for a column without a value. */
const withoutNulls = (row: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null && value !== ""));
