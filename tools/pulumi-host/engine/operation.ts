import { Deletion } from "./deletion";
import { addEngineService } from "./engine-service";
import type { HostEvent } from "../host";
import { Journal } from "../journal";
import { Mask } from "../protocol/mask";
import { ProgramProcess } from "../processes/program-process";
import type { Project } from "../state/project";
import type { PropertyMap } from "../protocol/property-value";
import type { ProviderLauncher } from "../processes/provider-process";
import { ProviderRegistry } from "../processes/provider-registry";
import { refreshState } from "./refresh";
import { ResourceMonitor, stackUrn } from "./resource-monitor";
import { ResourceRegistration } from "./resource-registration";
import { RpcServer } from "../protocol/rpc";
import type { StackConfiguration } from "../state/stack-configuration";
import type { StackState } from "../state/stack-state";
import { isProviderType, type StackIdentity } from "../protocol/urn";

const programGraceMs = 5_000;

export interface OperationOptions {
  readonly project: Project;
  readonly identity: StackIdentity;
  readonly configuration: StackConfiguration;
  readonly state: StackState;
  readonly launchers: Readonly<Record<string, ProviderLauncher>>;
  readonly environment: NodeJS.ProcessEnv;
  readonly preview: boolean;
  readonly onEvent: (event: HostEvent) => void;
}

export class CancelledError extends Error {
  override readonly name = "CancelledError";
}

/** One preview, up, refresh or destroy, with its processes and services. */
export class Operation {
  readonly journal: Journal;
  readonly #options: OperationOptions;
  readonly #mask = new Mask();
  readonly #server: RpcServer;
  readonly #providers: ProviderRegistry;
  readonly #deletion: Deletion;
  #program: ProgramProcess | undefined;

  private constructor(options: OperationOptions, server: RpcServer) {
    const { project, identity, configuration, launchers, environment, state, preview } = options;
    this.#options = options;
    this.#server = server;
    this.#learnSecrets();
    this.journal = new Journal(this.#mask, options.onEvent);
    addEngineService(server, this.journal);
    this.#providers = new ProviderRegistry({
      project,
      identity,
      configuration,
      launchers,
      environment,
      engineAddress: server.address,
      journal: this.journal,
    });
    for (const resource of state.resources) {
      if (isProviderType(resource.type)) this.#providers.declare(resource.urn, resource.inputs);
    }
    this.#deletion = new Deletion({ state, providers: this.#providers, journal: this.journal, preview });
  }

  static async start(options: OperationOptions): Promise<Operation> {
    return new Operation(options, await RpcServer.start());
  }

  async refresh(): Promise<void> {
    await refreshState(this.#options.state, this.#providers, this.journal);
  }

  async destroy(): Promise<void> {
    await this.#deletion.deleteAll(this.#options.state.resources);
  }

  /** Runs the program, and deletes resources that it no longer contains, unless a step failed. */
  async runProgram(): Promise<void> {
    const { state, preview, identity } = this.#options;
    const shared = { state, preview, providers: this.#providers, journal: this.journal, mask: this.#mask };
    const registration = new ResourceRegistration({ ...shared, deletion: this.#deletion });
    const monitor = new ResourceMonitor({ ...shared, identity, registration });
    monitor.addTo(this.#server);
    await this.#untilProgramEnds(monitor);
    this.#keepOutputs(monitor.stackOutputs);
    if (this.journal.failed) return;
    const left = state.resources.filter(({ urn, pendingDeletion }) => pendingDeletion || !registration.has(urn));
    await this.#deletion.deleteAll(left);
  }

  /** Starts no further step. The running step is completed unless its provider cancels it. */
  async cancel(): Promise<void> {
    this.journal.fail(new CancelledError("the operation was canceled"));
    await this.#providers.cancel();
  }

  terminate(): void {
    this.journal.fail(new CancelledError("the running step was canceled"));
    this.#program?.kill();
    this.#providers.kill();
  }

  async end(): Promise<void> {
    await this.#program?.end();
    await this.#providers.end();
    this.#server.stop();
  }

  async #untilProgramEnds(monitor: ResourceMonitor): Promise<void> {
    const { project, identity, configuration, environment, preview } = this.#options;
    const program = new ProgramProcess({
      project,
      identity,
      configuration,
      environment,
      preview,
      journal: this.journal,
      serverAddress: this.#server.address,
    });
    this.#program = program;
    const failure = new Promise<void>((resolve) => this.journal.failure.addEventListener("abort", () => resolve()));
    await Promise.race([program.finish(), failure]);
    await monitor.settled();
    if (this.journal.failed) await program.endsWithin(programGraceMs);
  }

  /** A failed program may not have exported all outputs, so their previous values are kept. */
  #keepOutputs(outputs: PropertyMap | undefined): void {
    const { state, identity } = this.#options;
    const root = state.find(stackUrn(identity));
    if (!root || outputs === undefined) return;
    state.replace(root, { ...root, outputs: this.journal.failed ? { ...root.outputs, ...outputs } : outputs });
  }

  #learnSecrets(): void {
    const { configuration, state } = this.#options;
    for (const key of configuration.secretKeys) this.#mask.learn(configuration.values[key] ?? "");
    for (const { inputs, outputs } of state.resources) {
      this.#mask.learnFrom(inputs);
      this.#mask.learnFrom(outputs);
    }
  }
}
