import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host, HostOptions, OperationResult, OutputOptions, UpOptions } from "../host";
import { Operation } from "./operation";
import { findPassphrase } from "../state/passphrase";
import { Project } from "../state/project";
import { conceal, mapValues, reveal, type PropertyMap } from "../protocol/property-value";
import type { ProviderLauncher } from "../processes/provider-process";
import { stackUrn } from "./resource-monitor";
import { loadConfiguration, saveConfigurationValue } from "../state/stack-configuration";
import { type ResourceState, StackState } from "../state/stack-state";
import { StateFile } from "../state/state-file";
import type { StackIdentity } from "../protocol/urn";

const stateFolder = ".pulumi-host";

export interface DeploymentOptions extends HostOptions {
  /** The file of the state. Default: a file in `.pulumi-host` beside Pulumi.yaml. */
  readonly stateFile?: string;
  /** Commands that start the providers of packages, by package name. Dynamic resources need none. */
  readonly providers?: Readonly<Record<string, ProviderLauncher>>;
}

/**
 * Runs an unmodified Pulumi program without the Pulumi CLI, for demos and tests. Real deployments use the CLI.
 */
export class Deployment implements Host {
  readonly name = "embedded";
  readonly stateFile: string;
  readonly #options: DeploymentOptions;
  readonly #project: Project;
  readonly #identity: StackIdentity;
  #operation: Operation | undefined;

  constructor(options: DeploymentOptions) {
    this.#options = options;
    this.#project = Project.load(options.programDirectory);
    this.#identity = { project: this.#project.name, stack: options.stack };
    this.stateFile = options.stateFile ?? join(this.#project.rootDirectory, stateFolder, `${options.stack}.json`);
  }

  preview(): Promise<OperationResult> {
    return this.#run(true, (operation) => operation.runProgram());
  }

  async up(options: UpOptions = {}): Promise<OperationResult> {
    if (options.refresh) {
      const refreshed = await this.refresh();
      if (!refreshed.ok) return refreshed;
    }
    return this.#run(false, (operation) => operation.runProgram());
  }

  refresh(): Promise<OperationResult> {
    return this.#run(false, (operation) => operation.refresh());
  }

  destroy(): Promise<OperationResult> {
    return this.#run(false, (operation) => operation.destroy());
  }

  async outputs(options: OutputOptions = {}): Promise<PropertyMap> {
    const outputs = this.#outputsIn(this.#file().load());
    return Promise.resolve(mapValues(outputs, options.showSecrets ? reveal : conceal));
  }

  /** Writes a value to Pulumi.<stack>.yaml, which the Pulumi CLI reads too. */
  setConfiguration(key: string, text: string, isSecret: boolean): void {
    const { stack } = this.#options;
    const passphrase = () => this.#passphrase();
    saveConfigurationValue({ project: this.#project, stack, passphrase }, key, { text, isSecret });
  }

  async cancel(): Promise<void> {
    await this.#operation?.cancel();
  }

  terminate(): void {
    this.#operation?.terminate();
  }

  async #run(preview: boolean, work: (operation: Operation) => Promise<void>): Promise<OperationResult> {
    if (this.#options.stateFile === undefined) createStateFolder(this.#project);
    const file = this.#file();
    const unlock = file.lock();
    try {
      const state = new StackState(file.load(), (resources) => {
        if (!preview) file.save(resources);
      });
      const operation = await this.#start(state, preview);
      await this.#perform(operation, work);
      return this.#result(operation, state);
    } finally {
      this.#operation = undefined;
      unlock();
    }
  }

  async #start(state: StackState, preview: boolean): Promise<Operation> {
    const { config = {}, secretConfig = {}, providers = {}, environment = {}, onEvent, stack } = this.#options;
    const passphrase = () => this.#passphrase();
    const sources = { project: this.#project, stack, passphrase, config, secretConfig };
    this.#operation = await Operation.start({
      project: this.#project,
      identity: this.#identity,
      configuration: loadConfiguration(sources),
      state,
      launchers: providers,
      environment: { ...process.env, ...environment, ...this.#identityEnvironment() },
      preview,
      onEvent: onEvent ?? (() => undefined),
    });
    return this.#operation;
  }

  async #perform(operation: Operation, work: (operation: Operation) => Promise<void>): Promise<void> {
    try {
      await work(operation);
    } catch (error) {
      operation.journal.fail(error);
    } finally {
      await operation.end();
    }
  }

  #result({ journal }: Operation, state: StackState): OperationResult {
    return {
      ok: !journal.failed,
      summary: journal.summary,
      outputs: mapValues(this.#outputsIn(state.resources), conceal),
      diagnostics: journal.diagnostics,
      operations: journal.steps,
    };
  }

  #outputsIn(resources: readonly ResourceState[]): PropertyMap {
    const urn = stackUrn(this.#identity);
    return resources.find((resource) => resource.urn === urn)?.outputs ?? {};
  }

  #file(): StateFile {
    return new StateFile({ path: this.stateFile, ...this.#identity, passphrase: () => this.#passphrase() });
  }

  #passphrase(): string {
    return findPassphrase(this.#options.passphrase, this.stateFile);
  }

  /** A dynamic provider reads the stack's name from its environment, not from its arguments. */
  #identityEnvironment(): NodeJS.ProcessEnv {
    const { project, stack } = this.#identity;
    return { PULUMI_PROJECT: project, PULUMI_NODEJS_PROJECT: project, PULUMI_STACK: stack, PULUMI_NODEJS_STACK: stack };
  }
}

/** Makes git ignore the folder, because it may contain the state's key. */
function createStateFolder(project: Project): void {
  const folder = join(project.rootDirectory, stateFolder);
  if (existsSync(folder)) return;
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, ".gitignore"), "*\n");
}
