import { getClientTokenOutput } from "@pulumi/azure-native/authorization/getClientToken";
import * as pulumi from "@pulumi/pulumi";

const apiVersion = "2025-01-01";

interface StartInputs {
  readonly url: string;
  /** Another value starts another execution. */
  readonly attempt: string;
  readonly token: string;
}

export interface JobStartArgs {
  /** For other clouds: the address of Azure Resource Manager. */
  readonly resourceManager: string;
  readonly jobId: pulumi.Input<string>;
  readonly attempt: number;
}

/**
 * Starts one execution of a manual Container Apps job, for which azure-native has no resource. Pulumi stores the text of these
 * functions in the state, so they use nothing but Node.js.
 */
const provider: pulumi.dynamic.ResourceProvider<StartInputs, StartInputs> = {
  async create({ url, attempt, token }) {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(60_000),
    });
    if (!response.ok) throw new Error(`POST ${url}: ${response.status} ${await response.text()}`);
    return { id: url, outs: { url, attempt, token: "" } };
  },
  diff: (_id, olds, news) => {
    const changed = (["url", "attempt"] as const).filter((key) => olds[key] !== news[key]);
    // The token differs in every operation, and deleting a job stops its executions.
    return Promise.resolve({ changes: changed.length > 0, replaces: changed });
  },
};

export class JobStart extends pulumi.dynamic.Resource {
  constructor(name: string, { resourceManager, jobId, attempt }: JobStartArgs, opts: pulumi.CustomResourceOptions) {
    const token = pulumi.secret(getClientTokenOutput({ endpoint: resourceManager }).token);
    const url = pulumi.interpolate`${resourceManager}${jobId}/start?api-version=${apiVersion}`;
    super(provider, name, { url, attempt: String(attempt), token }, opts);
  }
}
