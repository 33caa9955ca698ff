import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CliDeployment } from "../../tools/pulumi-host/pulumi-cli/cli-deployment";
import { Deployment, type DeploymentOptions } from "../../tools/pulumi-host/engine/deployment";
import { findPulumi } from "../../tools/pulumi-host/pulumi-cli/find-pulumi";
import type { Host, OperationResult } from "../../tools/pulumi-host/host";

export type HostName = Host["name"];

const pulumi = findPulumi();

/** The hosts that run the same tests: the embedded one, and the Pulumi CLI if it is installed. */
export const hostNames: readonly HostName[] = pulumi === undefined ? ["embedded"] : ["embedded", "cli"];

/** A host that keeps its state in a directory of the test. */
export function createHost(name: HostName, directory: string, options: DeploymentOptions): Host {
  if (name === "embedded") return new Deployment({ stateFile: join(directory, "state.json"), ...options });
  if (pulumi === undefined) throw new Error("pulumi is not on PATH");
  return new CliDeployment({ ...options, command: pulumi, directory });
}

/** One resource of test/pulumi-host/programs/recorder. */
export interface Planned {
  readonly name: string;
  /** A component instead of a recorded resource. */
  readonly group?: boolean;
  readonly props?: Readonly<Record<string, unknown>>;
  readonly secrets?: Readonly<Record<string, unknown>>;
  /** Inputs that are another resource's outputs. */
  readonly takes?: Readonly<Record<string, readonly [resource: string, property: string]>>;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly dependsOn?: readonly string[];
  readonly parent?: string;
  readonly deletedWith?: string;
}

export interface RecordedCall {
  readonly call: "check" | "diff" | "create" | "update" | "read" | "delete";
  readonly name: string;
  readonly id?: string;
  readonly olds?: Readonly<Record<string, unknown>>;
  readonly news?: Readonly<Record<string, unknown>>;
  readonly props?: Readonly<Record<string, unknown>>;
}

const program = resolve("test/pulumi-host/programs/recorder");
const passphrase = "a passphrase for tests";

/** A directory for one test of the recorder program: its state, its calls, and the actual state of its resources. */
export class Recorder {
  readonly directory: string;
  readonly #name: HostName;

  private constructor(name: HostName, directory: string) {
    this.#name = name;
    this.directory = directory;
  }

  static async create(name: HostName = "embedded"): Promise<Recorder> {
    const recorder = new Recorder(name, await mkdtemp(join(tmpdir(), "recorder-")));
    await recorder.setActual({});
    return recorder;
  }

  get stateFile(): string {
    return join(this.directory, "state.json");
  }

  get programDirectory(): string {
    return join(this.directory, "program");
  }

  /** Copies the program, with the plan in its configuration file, for commands that do not accept a plan. */
  async copyProgram(plan: readonly Planned[]): Promise<void> {
    await cp(program, this.programDirectory, { recursive: true });
    await symlink(resolve("node_modules"), join(this.programDirectory, "node_modules"));
    const config = { "recorder:directory": this.directory, "recorder:plan": JSON.stringify(plan) };
    await writeFile(join(this.programDirectory, "Pulumi.dev.yaml"), JSON.stringify({ config }));
  }

  host(plan: readonly Planned[], options: Partial<DeploymentOptions> = {}): Host {
    return createHost(this.#name, this.directory, {
      programDirectory: program,
      stack: "dev",
      passphrase,
      ...options,
      config: { directory: this.directory, plan: JSON.stringify(plan), ...options.config },
    });
  }

  /** Sets what `read` returns for each resource: its state, `gone` or `fails`. */
  async setActual(actual: Readonly<Record<string, unknown>>): Promise<void> {
    await writeFile(join(this.directory, "actual.json"), JSON.stringify(actual));
  }

  /** Makes the provider refuse deletes, or accept them again. */
  async refuseDeletes(refuse: boolean): Promise<void> {
    const file = join(this.directory, "calls.jsonl.refuse-deletes");
    await (refuse ? writeFile(file, "") : rm(file));
  }

  /** Returns the provider's calls since the last call of this method. */
  async takeCalls(): Promise<RecordedCall[]> {
    const file = join(this.directory, "calls.jsonl");
    const text = await readFile(file, "utf8").catch(() => "");
    await rm(file, { force: true });
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as RecordedCall);
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** The error messages of an operation, one a line. */
export function errorsOf(result: OperationResult): string {
  const errors = result.diagnostics.filter(({ severity }) => severity === "error");
  return errors.map(({ message }) => message).join("\n");
}

/** The calls that changed something, as `create a`. */
export function changesIn(calls: readonly RecordedCall[]): string[] {
  return calls
    .filter(({ call }) => ["create", "update", "delete"].includes(call))
    .map(({ call, name }) => `${call} ${name}`);
}
