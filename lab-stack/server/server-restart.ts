import { getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";

interface RestartInputs {
  readonly server: string;
  readonly resourceManager: string;
  readonly token: string;
  readonly onChangeOf: Record<string, string>;
}

const apiVersion = "2025-08-01";
const pollMs = 5_000;
const requestTimeoutMs = 60_000;
const limitMs = 30 * 60_000;

/**
 * Pulumi serializes this object into the state, so it must refer only to constants and to functions that do the same.
 * It sends requests to Azure Resource Manager, because azure-native has no resource for a restart.
 */
const provider: pulumi.dynamic.ResourceProvider<RestartInputs, RestartInputs> = {
  async create(inputs) {
    if (Object.keys(inputs.onChangeOf).length > 0) await restart(inputs);
    return { id: `${inputs.server}/restart`, outs: inputs };
  },
  // The token differs every time and is not a change. A removed parameter needs no restart now.
  async diff(_id, olds, news) {
    const isMoved = olds.server !== news.server;
    const needsRestart = Object.entries(news.onChangeOf).some(([name, value]) => olds.onChangeOf[name] !== value);
    return Promise.resolve({ changes: isMoved || needsRestart, replaces: isMoved ? ["server"] : [] });
  },
  async update(_id, _olds, news) {
    await restart(news);
    return { outs: news };
  },
};

/** Requests a restart and polls Azure's operation until it ends. */
async function restart({ server, resourceManager, token }: RestartInputs): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const url = `${resourceManager}${server}/restart?api-version=${apiVersion}`;
  const accepted = await fetch(url, {
    method: "POST",
    headers,
    body: "{}",
    signal: AbortSignal.timeout(requestTimeoutMs),
  });
  if (!accepted.ok)
    throw new Error(`Azure refused the restart of ${server}: ${accepted.status} ${await accepted.text()}`);
  const operation = accepted.headers.get("azure-asyncoperation");
  const deadline = Date.now() + limitMs;
  while (operation !== null && Date.now() < deadline) {
    const response = await fetch(operation, { headers, signal: AbortSignal.timeout(requestTimeoutMs) });
    if (!response.ok)
      throw new Error(
        `could not read the state of the restart of ${server}: ${response.status} ${await response.text()}`,
      );
    const answer = (await response.json()) as { status: string };
    if (answer.status === "Succeeded") return;
    if (answer.status === "Failed" || answer.status === "Canceled") {
      throw new Error(`the restart of ${server} ended as ${answer.status}, see the server's activity log`);
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  if (operation !== null) throw new Error(`the restart of ${server} did not end within ${limitMs / 60_000} minutes`);
}

export interface ServerRestartArgs {
  /** The server's resource id. */
  readonly server: pulumi.Input<string>;
  readonly resourceManager: pulumi.Input<string>;
  /** Static parameters. The server restarts when one of them is added or changes. */
  readonly onChangeOf: pulumi.Input<Record<string, string>>;
}

/** Restarts a flexible server, which takes about a minute, if a changed parameter needs it. */
export class ServerRestart extends pulumi.dynamic.Resource {
  constructor(name: string, args: ServerRestartArgs, opts: pulumi.CustomResourceOptions) {
    const token = pulumi.secret(getClientTokenOutput().token);
    super(provider, name, { ...args, token }, opts, "lab", "ServerRestart");
  }
}
