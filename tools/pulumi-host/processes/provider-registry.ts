import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Journal } from "../journal";
import type { Project } from "../state/project";
import { secret, type PropertyMap } from "../protocol/property-value";
import type { Provider } from "./provider";
import { type ProviderLauncher, ProviderProcess } from "./provider-process";
import type { StackConfiguration } from "../state/stack-configuration";
import { createUrn, packageOf, typeOf, type StackIdentity } from "../protocol/urn";

export const dynamicPackage = "pulumi-nodejs";

export class MissingProviderError extends Error {
  override readonly name = "MissingProviderError";
}

export interface ProviderRegistryOptions {
  readonly project: Project;
  readonly identity: StackIdentity;
  readonly configuration: StackConfiguration;
  readonly launchers: Readonly<Record<string, ProviderLauncher>>;
  readonly environment: NodeJS.ProcessEnv;
  readonly engineAddress: string;
  readonly journal: Journal;
}

/** The providers of an operation. Each starts when it is first used, and all end with the operation. */
export class ProviderRegistry {
  readonly #options: ProviderRegistryOptions;
  readonly #processes = new Map<string, Promise<ProviderProcess>>();
  readonly #configurations = new Map<string, PropertyMap>();

  constructor(options: ProviderRegistryOptions) {
    this.#options = options;
  }

  /** Records the configuration of a provider that the program declares. */
  declare(urn: string, configuration: PropertyMap): void {
    this.#configurations.set(urn, configuration);
  }

  /** The provider of a resource type or function: `<urn>::<id>` if given, otherwise the default provider of its package. */
  async find(token: string, reference = ""): Promise<Provider> {
    const urn = reference.split("::").slice(0, 4).join("::");
    if (urn !== "" && !this.#configurations.has(urn)) {
      throw new MissingProviderError(`the provider ${urn} is not among the resources of this stack`);
    }
    const name = packageOf(urn === "" ? token : typeOf(urn));
    const providerUrn = urn === "" ? createUrn(this.#options.identity, `pulumi:providers:${name}`, "default") : urn;
    const configuration = this.#configurations.get(providerUrn) ?? this.#packageConfiguration(name);
    const started = this.#processes.get(providerUrn) ?? this.#start(name, providerUrn, configuration);
    this.#processes.set(providerUrn, started);
    return (await started).provider;
  }

  /** Asks every provider to cancel its running calls. */
  async cancel(): Promise<void> {
    await this.#each((process) => process.provider.cancel());
  }

  kill(): void {
    for (const process of this.#processes.values()) {
      process.then(
        (started) => started.kill(),
        () => undefined,
      );
    }
  }

  async end(): Promise<void> {
    await this.#each((process) => process.end());
  }

  async #each(act: (process: ProviderProcess) => Promise<void>): Promise<void> {
    const settled = await Promise.allSettled(this.#processes.values());
    const started = settled.filter((result) => result.status === "fulfilled");
    await Promise.all(started.map((result) => act(result.value)));
  }

  #start(name: string, urn: string, configuration: PropertyMap): Promise<ProviderProcess> {
    const { project, journal, engineAddress, environment } = this.#options;
    return ProviderProcess.start({
      launcher: this.#launcherOf(name),
      engineAddress,
      urn,
      configuration,
      workDirectory: project.workDirectory,
      environment,
      onOutput: (message, stream) => {
        if (message.trim() !== "") journal.say({ severity: stream === "error" ? "warning" : "info", message });
      },
    });
  }

  #launcherOf(name: string): ProviderLauncher {
    const launcher = this.#options.launchers[name];
    if (launcher) return launcher;
    if (name === dynamicPackage) {
      const guard = pathToFileURL(join(__dirname, "exit-with-parent.mjs")).href;
      const command = this.#options.project.sdkCommand("dynamic-provider");
      return { command: process.execPath, arguments: ["--import", guard, command] };
    }
    throw new MissingProviderError(
      `no provider is known for package ${name}: this host runs dynamic resources, and other packages only through a ` +
        `launcher passed as providers["${name}"]; deploy the program with the Pulumi CLI to use the published provider`,
    );
  }

  /** The configuration in the package's namespace. Dynamic resources can read every key of their project. */
  #packageConfiguration(name: string): PropertyMap {
    const { values, secretKeys } = this.#options.configuration;
    const configuration: Record<string, PropertyMap[string]> = {};
    for (const [key, text] of Object.entries(values)) {
      const value = secretKeys.includes(key) ? secret(text) : text;
      if (name === dynamicPackage) configuration[key] = value;
      else if (key.startsWith(`${name}:`)) configuration[key.slice(name.length + 1)] = value;
    }
    return configuration;
  }
}
