import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { MigrationStatus } from "pulumi-pg-migration";
import { exampleConfig } from "../../tools/pulumi-host/example-config";
import type { Host, OperationResult } from "../../tools/pulumi-host/host";
import { Lab } from "./lab";
import { createHost, type HostName } from "./pulumi-cli";

export interface Deployment {
  /** Folder of the program. */
  readonly program: string;
  readonly config: Readonly<Record<string, string>>;
  readonly secretConfig?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** For the tests of a `describe`: a lab, and a new directory for the state of each test's stacks. */
export class ProgramScene {
  directory = "";
  #lab: Lab | undefined;

  constructor() {
    before(async () => {
      this.#lab = await Lab.start();
    });
    beforeEach(async () => {
      this.directory = await mkdtemp(join(tmpdir(), "pg-migration-test-"));
    });
    afterEach(() => rm(this.directory, { recursive: true, force: true }));
    after(() => this.#lab?.stop());
  }

  get lab(): Lab {
    if (!this.#lab) throw new Error("the lab runs only during its tests");
    return this.#lab;
  }

  /**
   * A program whose configuration names the lab's servers with the keys that the examples read. `npm run types` checks its
   * types. Pulumi would check them again at each operation, which takes longer than the migration.
   *
   * @param directory the state of a further stack, if a test has several
   */
  deploy(
    hostName: HostName,
    { program, config, secretConfig, environment = {} }: Deployment,
    directory: string = this.directory,
  ): Host {
    const servers = exampleConfig(this.lab.source.login, this.lab.administrator);
    return createHost(hostName, directory, {
      programDirectory: resolve(program),
      stack: "test",
      passphrase: "only for tests",
      config: { ...servers.config, ...config },
      secretConfig: { ...servers.secretConfig, ...secretConfig },
      environment: { PULUMI_NODEJS_TRANSPILE_ONLY: "true", ...environment },
    });
  }
}

/** Returns the stack's output `status`, or fails if the operation failed. */
export function statusOf(result: OperationResult): MigrationStatus {
  assert(result.ok, JSON.stringify(result.diagnostics));
  return result.outputs.status as unknown as MigrationStatus;
}
