import assert from "node:assert/strict";
import { resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import type { Host, OperationResult } from "../../tools/pulumi-host/host";
import type { Lab } from "./lab";
import { createHost, type HostName } from "./pulumi-cli";

/**
 * A program with a lab's servers in its configuration, under the names that the examples read. That its types are right is
 * for `npm run types` to say: Pulumi would check them anew at each operation, which takes longer than the migration.
 */
export function deployProgram(
  hostName: HostName,
  directory: string,
  { source, administrator }: Lab,
  program: string,
  config: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
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

/** The stack's output `status`; fails when the operation has failed. */
export function statusOf(result: OperationResult): MigrationStatus {
  assert(result.ok, JSON.stringify(result.diagnostics));
  return result.outputs.status as unknown as MigrationStatus;
}
