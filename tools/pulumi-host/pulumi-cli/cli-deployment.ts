import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setInterval } from "node:timers";
import { pathToFileURL } from "node:url";
import { Child } from "../processes/child-process";
import { parseEngineEvent } from "./cli-events";
import type {
  Diagnostic,
  Host,
  HostEvent,
  HostOptions,
  OperationResult,
  OutputOptions,
  Step,
  Summary,
  UpOptions,
} from "../host";
import { findPassphrase } from "../state/passphrase";
import { Project } from "../state/project";
import type { PropertyMap } from "../protocol/property-value";

const pollMs = 200;
const commandFlags = ["--non-interactive", "--color", "never"];

export class PulumiCommandError extends Error {
  override readonly name = "PulumiCommandError";
}

export interface CliDeploymentOptions extends HostOptions {
  /** The Pulumi CLI. */
  readonly command: string;
  /** Folder of the stack's state and configuration, so that the user's CLI logins stay unchanged. */
  readonly directory?: string;
}

/** Runs the program with the Pulumi CLI, with its state in a local folder. */
export class CliDeployment implements Host {
  readonly name = "cli";
  readonly #options: CliDeploymentOptions;
  readonly #project: Project;
  readonly #directory: string;
  #prepared: Promise<void> | undefined;
  #running: Child | undefined;

  constructor(options: CliDeploymentOptions) {
    this.#options = options;
    this.#project = Project.load(options.programDirectory);
    this.#directory = resolve(options.directory ?? join(this.#project.rootDirectory, ".pulumi-host", "cli"));
  }

  preview(): Promise<OperationResult> {
    return this.#operate(["preview"]);
  }

  up(options: UpOptions = {}): Promise<OperationResult> {
    return this.#operate(["up", "--yes", "--skip-preview", ...(options.refresh ? ["--refresh"] : [])]);
  }

  refresh(): Promise<OperationResult> {
    return this.#operate(["refresh", "--yes", "--skip-preview"]);
  }

  destroy(): Promise<OperationResult> {
    return this.#operate(["destroy", "--yes", "--skip-preview"]);
  }

  async outputs(options: OutputOptions = {}): Promise<PropertyMap> {
    await this.#prepare();
    const lines = await this.#run(["stack", "output", "--json", ...(options.showSecrets ? ["--show-secrets"] : [])]);
    return JSON.parse(lines.join("\n")) as PropertyMap;
  }

  async cancel(): Promise<void> {
    return Promise.resolve(this.#running?.interrupt());
  }

  terminate(): void {
    this.#running?.kill();
  }

  async #operate(command: readonly string[]): Promise<OperationResult> {
    await this.#prepare();
    const logs = mkdtempSync(join(tmpdir(), "pulumi-events-"));
    const log = new EventLog(join(logs, "events.json"), this.#options.onEvent ?? (() => undefined));
    const said: string[] = [];
    try {
      const child = this.#start([...command, "--event-log", log.path, ...this.#configFlags()], (line) =>
        said.push(line),
      );
      const { code } = await log.whileRunning(child);
      const ok = code === 0;
      const diagnostics = ok || log.hasError ? log.diagnostics : [...log.diagnostics, failure(said)];
      return { ok, summary: log.summary, outputs: await this.outputs(), diagnostics, operations: log.steps };
    } finally {
      this.#running = undefined;
      rmSync(logs, { recursive: true, force: true });
    }
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#createStack();
    return this.#prepared;
  }

  async #createStack(): Promise<void> {
    const { stack, config = {}, secretConfig = {} } = this.#options;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const own = join(this.#project.rootDirectory, `Pulumi.${stack}.yaml`);
    if (existsSync(own)) copyFileSync(own, this.#configFile());
    const stacks = JSON.parse((await this.#run(["stack", "ls", "--json"], { stack: false })).join("\n")) as {
      name: string;
    }[];
    if (!stacks.some(({ name }) => name.split("/").at(-1) === stack)) await this.#initStack(own);
    for (const [key, value] of Object.entries(config)) await this.#set(key, value, "--plaintext");
    for (const [key, value] of Object.entries(secretConfig)) await this.#set(key, value, "--secret");
  }

  /** The CLI always writes the stack's encryption to a file beside Pulumi.yaml. It belongs into this host's folder. */
  async #initStack(programsFile: string): Promise<void> {
    const isTheUsers = existsSync(programsFile);
    await this.#run(["stack", "init", this.#options.stack, "--no-select"], { stack: false });
    if (isTheUsers) copyFileSync(programsFile, this.#configFile());
    else if (existsSync(programsFile)) {
      copyFileSync(programsFile, this.#configFile());
      rmSync(programsFile);
    }
  }

  /** Passes values by standard input, because every user of the machine can read arguments. */
  async #set(key: string, value: string, flag: "--plaintext" | "--secret"): Promise<void> {
    await this.#run(["config", "set", key, flag, ...this.#configFlags()], { input: value });
  }

  async #run(
    command: readonly string[],
    options: { readonly input?: string; readonly stack?: boolean } = {},
  ): Promise<string[]> {
    const lines: string[] = [];
    const errors: string[] = [];
    const child = this.#start(command, (line) => errors.push(line), {
      ...options,
      onOutput: (line) => lines.push(line),
    });
    const { code } = await child.exited;
    if (code === 0) return lines;
    throw new PulumiCommandError(`pulumi ${command.slice(0, 2).join(" ")} failed: ${errors.join("\n")}`);
  }

  #start(
    command: readonly string[],
    onErrorOutput: (line: string) => void,
    options: { input?: string; stack?: boolean; onOutput?: (line: string) => void } = {},
  ): Child {
    const stackFlags = options.stack === false ? [] : ["--stack", this.#options.stack];
    const child = new Child({
      command: this.#options.command,
      arguments: [...command, ...stackFlags, ...commandFlags],
      directory: this.#project.rootDirectory,
      environment: this.#environment(),
      onOutput: options.onOutput ?? onErrorOutput,
      onErrorOutput,
      ...(options.input !== undefined && { input: options.input }),
    });
    this.#running = child;
    return child;
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      ...this.#options.environment,
      PULUMI_BACKEND_URL: pathToFileURL(this.#directory).href,
      PULUMI_CONFIG_PASSPHRASE: findPassphrase(this.#options.passphrase, join(this.#directory, this.#options.stack)),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      // Otherwise the CLI does not accept --event-log.
      PULUMI_DEBUG_COMMANDS: "true",
    };
  }

  #configFile(): string {
    return join(this.#directory, `Pulumi.${this.#options.stack}.yaml`);
  }

  #configFlags(): string[] {
    return ["--config-file", this.#configFile()];
  }
}

function failure(said: readonly string[]): Diagnostic {
  return { severity: "error", message: said.join("\n") };
}

/** Reads the CLI's event log while the CLI writes it. */
class EventLog {
  readonly path: string;
  readonly steps: Step[] = [];
  readonly diagnostics: Diagnostic[] = [];
  summary: Summary = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };
  readonly #tell: (event: HostEvent) => void;
  #readLines = 0;

  constructor(path: string, tell: (event: HostEvent) => void) {
    this.path = path;
    this.#tell = tell;
  }

  get hasError(): boolean {
    return this.diagnostics.some(({ severity }) => severity === "error");
  }

  async whileRunning(child: Child) {
    const timer = setInterval(() => this.#read(), pollMs);
    try {
      return await child.exited;
    } finally {
      clearInterval(timer);
      this.#read();
    }
  }

  #read(): void {
    if (!existsSync(this.path)) return;
    // The last element is empty or an incomplete line.
    const lines = readFileSync(this.path, "utf8").split("\n").slice(0, -1);
    for (const line of lines.slice(this.#readLines)) this.#take(line);
    this.#readLines = lines.length;
  }

  #take(line: string): void {
    const event = parseEngineEvent(line);
    if (!event) return;
    if (event.kind === "summary") {
      this.summary = event.summary;
      return;
    }
    if (event.kind === "step-finished") this.steps.push({ op: event.op, urn: event.urn });
    if (event.kind === "diagnostic") {
      const { severity, message, urn } = event;
      this.diagnostics.push({ severity, message, ...(urn !== undefined && { urn }) });
    }
    this.#tell(event);
  }
}
