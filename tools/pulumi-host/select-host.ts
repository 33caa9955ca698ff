import { CliDeployment, type CliDeploymentOptions } from "./pulumi-cli/cli-deployment";
import { Deployment, type DeploymentOptions } from "./engine/deployment";
import { findPulumi } from "./pulumi-cli/find-pulumi";
import type { Host } from "./host";

export class UnknownHostError extends Error {
  override readonly name = "UnknownHostError";
}

/** Options of both hosts. The embedded one uses `stateFile`, the CLI `directory`. */
export type SelectedHostOptions = DeploymentOptions & Pick<CliDeploymentOptions, "directory">;

/** Selects the Pulumi CLI if it is installed, otherwise the stand-in. PULUMI_HOST=cli or embedded overrides that. */
export function selectHost(options: SelectedHostOptions): Host {
  const wanted = process.env.PULUMI_HOST ?? "";
  const command = findPulumi();
  if (wanted === "embedded") return new Deployment(options);
  if (wanted !== "" && wanted !== "cli") {
    throw new UnknownHostError(`PULUMI_HOST is ${wanted}, but must be cli or embedded`);
  }
  if (command !== undefined) return new CliDeployment({ ...options, command });
  if (wanted === "cli") throw new UnknownHostError("PULUMI_HOST is cli, but pulumi is not on PATH");
  return new Deployment(options);
}
