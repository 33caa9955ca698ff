import { getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";

interface RestartInputs {
  readonly server: string;
  readonly resourceManager: string;
  readonly token: string;
  readonly onChangeOf: Record<string, string>;
}

const apiVersion = "2025-08-01";
const waitMs = 5_000;
const answerMs = 60_000;
const limitMs = 30 * 60_000;

/**
 * Serialized into the state, so that it takes along only what it names: constants, and functions that do likewise.
 * azure-native has resources and no actions, hence the request to Azure Resource Manager itself.
 */
const provider: pulumi.dynamic.ResourceProvider<RestartInputs, RestartInputs> = {
  async create(inputs) {
    if (Object.keys(inputs.onChangeOf).length > 0) await restart(inputs);
    return { id: `${inputs.server}/restart`, outs: inputs };
  },
  // The token is another one each time and means no change. A parameter that goes is reset after this, for a later start.
  async diff(_id, olds, news) {
    const isMoved = olds.server !== news.server;
    const isDue = Object.entries(news.onChangeOf).some(([name, value]) => olds.onChangeOf[name] !== value);
    return Promise.resolve({ changes: isMoved || isDue, replaces: isMoved ? ["server"] : [] });
  },
  async update(_id, _olds, news) {
    await restart(news);
    return { outs: news };
  },
};

/** Asks for a restart and waits until Azure says that it is over, by the address that its answer names. */
async function restart({ server, resourceManager, token }: RestartInputs): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const url = `${resourceManager}${server}/restart?api-version=${apiVersion}`;
  const accepted = await fetch(url, { method: "POST", headers, body: "{}", signal: AbortSignal.timeout(answerMs) });
  if (!accepted.ok)
    throw new Error(`the restart of ${server} was refused: ${accepted.status} ${await accepted.text()}`);
  const operation = accepted.headers.get("azure-asyncoperation");
  const deadline = Date.now() + limitMs;
  while (operation !== null && Date.now() < deadline) {
    const response = await fetch(operation, { headers, signal: AbortSignal.timeout(answerMs) });
    if (!response.ok)
      throw new Error(`the restart of ${server} cannot be followed: ${response.status} ${await response.text()}`);
    const answer = (await response.json()) as { status: string };
    if (answer.status === "Succeeded") return;
    if (answer.status === "Failed" || answer.status === "Canceled") {
      throw new Error(`the restart of ${server} has ended as ${answer.status}; see the server's activity log`);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  if (operation !== null) throw new Error(`the restart of ${server} has not ended within ${limitMs / 60_000} minutes`);
}

export interface ServerRestartArgs {
  /** The server's resource id. */
  readonly server: pulumi.Input<string>;
  readonly resourceManager: pulumi.Input<string>;
  /** Parameters that take effect at a start; the server restarts when one of them appears or changes. */
  readonly onChangeOf: pulumi.Input<Record<string, string>>;
}

/** A restart of a flexible server, taking about a minute, when parameters changed that need one. */
export class ServerRestart extends pulumi.dynamic.Resource {
  constructor(name: string, args: ServerRestartArgs, opts: pulumi.CustomResourceOptions) {
    const token = pulumi.secret(getClientTokenOutput().token);
    super(provider, name, { ...args, token }, opts, "lab", "ServerRestart");
  }
}
