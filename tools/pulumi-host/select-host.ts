import { CliDeployment, type CliDeploymentOptions } from "./pulumi-cli/cli-deployment";
import { Deployment, type DeploymentOptions } from "./engine/deployment";
import { findPulumi } from "./pulumi-cli/find-pulumi";
import type { Host } from "./host";

export class UnknownHostError extends Error {
  override readonly name = "UnknownHostError";
}

/** What either host needs; each takes its own of `stateFile` and `directory`. */
export type SelectedHostOptions = DeploymentOptions & Pick<CliDeploymentOptions, "directory">;

/** The Pulumi CLI where it is installed, else this folder's stand-in; PULUMI_HOST=cli or embedded decides otherwise. */
export function selectHost(options: SelectedHostOptions): Host {
  const wanted = process.env.PULUMI_HOST ?? "";
  const command = findPulumi();
  if (wanted === "embedded") return new Deployment(options);
  if (wanted !== "" && wanted !== "cli") {
    throw new UnknownHostError(`PULUMI_HOST is ${wanted}, but must be cli or embedded`);
  }
  if (command !== undefined) return new CliDeployment({ ...options, command });
  if (wanted === "cli") throw new UnknownHostError("PULUMI_HOST is cli, but there is no pulumi on PATH");
  return new Deployment(options);
}
