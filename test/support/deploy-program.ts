import assert from "node:assert/strict";
import { resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import type { Host, OperationResult } from "../../tools/pulumi-host/host";
import type { Lab } from "./lab";
import { createHost, type HostName } from "./pulumi-cli";

export interface Deployment {
  /** Folder of the program. */
  readonly program: string;
  readonly config: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/**
 * A program whose configuration names a lab's servers with the keys that the examples read. `npm run types` checks its
 * types. Pulumi would check them again at each operation, which takes longer than the migration.
 */
export function deployProgram(
  hostName: HostName,
  directory: string,
  { source, administrator }: Lab,
  { program, config, environment = {} }: Deployment,
): Host {
  return createHost(hostName, directory, {
    programDirectory: resolve(program),
    stack: "test",
    passphrase: "only for tests",
    config: {
      sourceHost: source.login.host,
      sourcePort: String(source.port),
      sourceUser: source.login.user,
      targetHost: administrator.host,
      targetPort: String(administrator.port),
      targetUser: administrator.user,
      ...config,
    },
    secretConfig: { sourcePassword: source.login.password, targetPassword: administrator.password },
    environment: { PULUMI_NODEJS_TRANSPILE_ONLY: "true", ...environment },
  });
}

/** Returns the stack's output `status`, or fails if the operation failed. */
export function statusOf(result: OperationResult): MigrationStatus {
  assert(result.ok, JSON.stringify(result.diagnostics));
  return result.outputs.status as unknown as MigrationStatus;
}
