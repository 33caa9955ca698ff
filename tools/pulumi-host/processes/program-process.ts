import { Child } from "./child-process";
import type { Journal } from "../journal";
import type { Project } from "../state/project";
import type { StackConfiguration } from "../state/stack-configuration";
import type { StackIdentity } from "../protocol/urn";

const endGraceMs = 5_000;
const parallelResources = 16;
/** Exit code of the SDK after it logged why the program failed. */
const exitedAfterLogging = 32;

export interface ProgramOptions {
  readonly project: Project;
  readonly identity: StackIdentity;
  readonly configuration: StackConfiguration;
  readonly environment: NodeJS.ProcessEnv;
  readonly serverAddress: string;
  readonly preview: boolean;
  readonly journal: Journal;
}

/** The Pulumi program, run by its own SDK as the Pulumi CLI runs it. */
export class ProgramProcess {
  readonly #child: Child;
  readonly #journal: Journal;

  constructor(options: ProgramOptions) {
    this.#journal = options.journal;
    this.#child = new Child({
      command: process.execPath,
      arguments: [...options.project.nodeArguments, options.project.sdkCommand("run"), ...runArguments(options)],
      directory: options.project.workDirectory,
      environment: environmentOf(options),
      onOutput: (message) => this.#say(message),
      onErrorOutput: (message) => this.#say(message),
    });
  }

  /** Waits until the program ends. A failure is a diagnostic. */
  async finish(): Promise<void> {
    const { code, signal } = await this.#child.exited;
    if (code === 0 || this.#journal.failed) return;
    if (code === exitedAfterLogging) this.#journal.failReported();
    else this.#journal.fail(`the program ended with ${signal === null ? `exit code ${code}` : `signal ${signal}`}`);
  }

  /** Waits for the program, which ends by itself when the engine is unavailable. */
  async endsWithin(milliseconds: number): Promise<void> {
    await this.#child.exitsWithin(milliseconds);
  }

  async end(): Promise<void> {
    await this.#child.end(endGraceMs);
  }

  kill(): void {
    this.#child.kill();
  }

  #say(message: string): void {
    if (message.trim() !== "") this.#journal.say({ severity: "info", message });
  }
}

function runArguments({ project, identity, serverAddress, preview }: ProgramOptions): string[] {
  return [
    `--monitor=${serverAddress}`,
    `--engine=${serverAddress}`,
    "--organization=organization",
    `--project=${identity.project}`,
    `--stack=${identity.stack}`,
    `--root-directory=${project.rootDirectory}`,
    `--pwd=${project.workDirectory}`,
    `--parallel=${parallelResources}`,
    ...(preview ? ["--dry-run"] : []),
    project.entryPoint,
  ];
}

function environmentOf({ project, configuration, environment }: ProgramOptions): NodeJS.ProcessEnv {
  return {
    ...environment,
    PULUMI_CONFIG: JSON.stringify(configuration.values),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(configuration.secretKeys),
    PULUMI_NODEJS_TYPESCRIPT: String(project.typescript),
  };
}
