import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Child } from "./child-process";
import { conceal, containsUnknown, mapValues, reveal, type PropertyMap } from "../protocol/property-value";
import { Provider } from "./provider";
import { answer, clientOptions, fromStruct, toStruct } from "../protocol/rpc";
import { nameOf, packageOf, typeOf } from "../protocol/urn";

const startLimitMs = 60_000;
const endGraceMs = 5_000;

/** The command of a provider. It prints its gRPC port on the first line of its output. */
export interface ProviderLauncher {
  readonly command: string;
  readonly arguments?: readonly string[];
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export class ProviderStartError extends Error {
  override readonly name = "ProviderStartError";
}

export interface ProviderProcessOptions {
  readonly launcher: ProviderLauncher;
  readonly engineAddress: string;
  /** The URN of the provider resource. Default providers have one, too. */
  readonly urn: string;
  readonly configuration: PropertyMap;
  readonly workDirectory: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Receives its output after the port. */
  readonly onOutput: (line: string, severity: "info" | "error") => void;
}

/** A provider's process. */
export class ProviderProcess {
  readonly provider: Provider;
  readonly #child: Child;
  readonly #client: ResourceProviderClient;

  private constructor(child: Child, client: ResourceProviderClient, provider: Provider) {
    this.#child = child;
    this.#client = client;
    this.provider = provider;
  }

  static async start(options: ProviderProcessOptions): Promise<ProviderProcess> {
    const { child, port } = launch(options);
    try {
      const address = `127.0.0.1:${await portOf(child, port, options)}`;
      const client = new ResourceProviderClient(address, credentials.createInsecure(), clientOptions());
      return new ProviderProcess(child, client, await configure(client, options));
    } catch (error) {
      await child.end(endGraceMs);
      throw error;
    }
  }

  kill(): void {
    this.#child.kill();
  }

  async end(): Promise<void> {
    await Promise.race([this.provider.cancel(), this.#child.exitsWithin(endGraceMs)]);
    this.#client.close();
    await this.#child.end(endGraceMs);
  }
}

function launch(options: ProviderProcessOptions): { child: Child; port: Promise<number> } {
  const { launcher, engineAddress, onOutput } = options;
  let firstLine: (line: string) => void = () => undefined;
  let started = false;
  const port = new Promise<string>((resolve) => (firstLine = resolve)).then(Number);
  const child = new Child({
    command: launcher.command,
    arguments: [...(launcher.arguments ?? []), engineAddress],
    directory: launcher.directory ?? options.workDirectory,
    environment: { ...options.environment, ...launcher.environment },
    onOutput: (line) => {
      if (started) onOutput(line, "info");
      else firstLine(line);
      started = true;
    },
    onErrorOutput: (line) => onOutput(line, "error"),
  });
  return { child, port };
}

async function portOf(child: Child, port: Promise<number>, options: ProviderProcessOptions): Promise<number> {
  const name = packageOf(typeOf(options.urn));
  const failed = child.exited.then(
    ({ code, signal }) => {
      throw new ProviderStartError(`the provider of ${name} ended at its start (${signal ?? `exit code ${code}`})`);
    },
    (cause: unknown) => {
      throw new ProviderStartError(`the provider of ${name} cannot be started: ${options.launcher.command}`, { cause });
    },
  );
  const late = child.exitsWithin(startLimitMs).then(() => {
    throw new ProviderStartError(`the provider of ${name} did not print its port within ${startLimitMs / 1000} s`);
  });
  late.catch(() => undefined);
  const answered = await Promise.race([port, failed, late]);
  if (Number.isInteger(answered) && answered > 0) return answered;
  throw new ProviderStartError(`the provider of ${name} must print its port on the first line of its output`);
}

async function configure(client: ResourceProviderClient, options: ProviderProcessOptions): Promise<Provider> {
  await handshake(client, options.engineAddress);
  if (Object.values(options.configuration).some(containsUnknown)) {
    return new Provider(client, { configured: false, secrets: false, references: false, preview: false });
  }
  const configuration = await checkConfiguration(client, options);
  const request = new proto.ConfigureRequest();
  request.setArgs(toStruct(configuration)).setAcceptsecrets(true).setAcceptresources(true);
  request.setSendsOldInputs(true).setSendsOldInputsToDelete(true);
  for (const [key, value] of Object.entries(configuration)) {
    const plain = reveal(value);
    const name = `${packageOf(typeOf(options.urn))}:config:${key}`;
    request.getVariablesMap().set(name, typeof plain === "string" ? plain : JSON.stringify(plain));
  }
  const response = await answer<proto.ConfigureResponse>((done) => client.configure(request, done));
  return new Provider(client, {
    configured: true,
    secrets: response.getAcceptsecrets(),
    references: response.getAcceptresources(),
    preview: response.getSupportspreview(),
  });
}

async function handshake(client: ResourceProviderClient, engineAddress: string): Promise<void> {
  const request = new proto.ProviderHandshakeRequest();
  request.setEngineAddress(engineAddress);
  await optional(answer<proto.ProviderHandshakeResponse>((done) => client.handshake(request, done)));
}

async function checkConfiguration(client: ResourceProviderClient, options: ProviderProcessOptions) {
  const { urn, configuration } = options;
  const request = new proto.CheckRequest();
  request.setUrn(urn).setType(typeOf(urn)).setName(nameOf(urn));
  request.setOlds(toStruct({})).setNews(toStruct(configuration));
  const response = await optional(answer<proto.CheckResponse>((done) => client.checkConfig(request, done)));
  if (!response) return configuration;
  const failures = response.getFailuresList().map((failure) => `${failure.getProperty()}: ${failure.getReason()}`);
  if (failures.length === 0) return fromStruct(response.getInputs());
  const shown = JSON.stringify(mapValues(configuration, conceal));
  throw new ProviderStartError(
    `the provider ${nameOf(urn)} refuses its configuration ${shown}: ${failures.join("; ")}`,
  );
}

/** The answer of an optional method. */
async function optional<Response>(response: Promise<Response>): Promise<Response | undefined> {
  try {
    return await response;
  } catch (error) {
    if ((error as ServiceError).code === status.UNIMPLEMENTED) return undefined;
    throw error;
  }
}
