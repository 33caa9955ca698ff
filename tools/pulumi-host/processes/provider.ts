import { randomBytes } from "node:crypto";
import { type ServiceError, status } from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import type { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import {
  annotateSecrets,
  changedKeys,
  mapValues,
  reveal,
  withoutReferences,
  type PropertyMap,
} from "../protocol/property-value";
import { answer, fromStruct, toStruct } from "../protocol/rpc";
import { nameOf, typeOf } from "../protocol/urn";

export interface ProviderAbilities {
  /** False in a preview if the provider's configuration is unknown, so that it cannot be called. */
  readonly configured: boolean;
  readonly secrets: boolean;
  readonly references: boolean;
  readonly preview: boolean;
}

/** The resource of a call. */
export interface Subject {
  readonly urn: string;
  readonly id: string;
}

export interface CheckAnswer {
  readonly inputs: PropertyMap;
  readonly failures: readonly { readonly property: string; readonly reason: string }[];
}

export interface Difference {
  readonly changes: boolean;
  readonly changedKeys: readonly string[];
  readonly replaceKeys: readonly string[];
  readonly deleteBeforeReplace: boolean;
}

export interface ReadAnswer {
  readonly id: string;
  readonly outputs: PropertyMap;
  readonly inputs: PropertyMap | undefined;
}

/** The resource exists but is incomplete. Its outputs must be kept. */
export class InitializationError extends Error {
  override readonly name = "InitializationError";
  readonly id: string;
  readonly outputs: PropertyMap;
  readonly reasons: readonly string[];

  constructor(id: string, outputs: PropertyMap, reasons: readonly string[], message: string) {
    super(reasons.length > 0 ? reasons.join("\n") : message);
    this.id = id;
    this.outputs = outputs;
    this.reasons = reasons;
  }
}

export class ProviderError extends Error {
  override readonly name = "ProviderError";
}

/** A configured provider. Secrets are marked in inputs and outputs, whether or not the provider supports it. */
export class Provider {
  readonly #client: ResourceProviderClient;
  readonly #abilities: ProviderAbilities;

  constructor(client: ResourceProviderClient, abilities: ProviderAbilities) {
    this.#client = client;
    this.#abilities = abilities;
  }

  async check(urn: string, olds: PropertyMap | undefined, news: PropertyMap): Promise<CheckAnswer> {
    if (!this.#abilities.configured) return { inputs: news, failures: [] };
    const request = new proto.CheckRequest();
    request.setUrn(urn).setType(typeOf(urn)).setName(nameOf(urn));
    request
      .setOlds(this.#struct(olds ?? {}))
      .setNews(this.#struct(news))
      .setRandomseed(randomBytes(32));
    const response = await this.#call<proto.CheckResponse>((done) => this.#client.check(request, done));
    const failures = response
      .getFailuresList()
      .map((failure) => ({ property: failure.getProperty(), reason: failure.getReason() }));
    return { inputs: this.#annotate(fromStruct(response.getInputs()), news), failures };
  }

  async diff(
    subject: Subject,
    olds: { readonly inputs: PropertyMap; readonly outputs: PropertyMap },
    news: PropertyMap,
    ignoreChanges: readonly string[],
  ): Promise<Difference> {
    const inputChanges = changedKeys(olds.inputs, news);
    if (!this.#abilities.configured) return inputDifference(inputChanges);
    const request = new proto.DiffRequest();
    request.setUrn(subject.urn).setType(typeOf(subject.urn)).setName(nameOf(subject.urn)).setId(subject.id);
    request.setOlds(this.#struct(olds.outputs)).setOldInputs(this.#struct(olds.inputs)).setNews(this.#struct(news));
    request.setIgnorechangesList([...ignoreChanges]);
    const response = await this.#call<proto.DiffResponse>((done) => this.#client.diff(request, done));
    return differenceOf(response, inputChanges);
  }

  async create(
    urn: string,
    inputs: PropertyMap,
    timeout: number,
    preview: boolean,
  ): Promise<{ id: string; outputs: PropertyMap }> {
    if (preview && !this.#abilities.preview) return { id: "", outputs: inputs };
    const request = new proto.CreateRequest();
    request.setUrn(urn).setType(typeOf(urn)).setName(nameOf(urn));
    request.setProperties(this.#struct(inputs)).setTimeout(timeout).setPreview(preview);
    const response = await this.#call<proto.CreateResponse>((done) => this.#client.create(request, done), inputs);
    if (!preview && response.getId() === "") throw new ProviderError("the provider created the resource without an id");
    return { id: response.getId(), outputs: this.#annotate(fromStruct(response.getProperties()), inputs) };
  }

  async update(
    subject: Subject,
    olds: { readonly inputs: PropertyMap; readonly outputs: PropertyMap },
    news: PropertyMap,
    options: { readonly timeout: number; readonly ignoreChanges: readonly string[]; readonly preview: boolean },
  ): Promise<PropertyMap> {
    if (options.preview && !this.#abilities.preview) return news;
    const request = new proto.UpdateRequest();
    request.setUrn(subject.urn).setType(typeOf(subject.urn)).setName(nameOf(subject.urn)).setId(subject.id);
    request.setOlds(this.#struct(olds.outputs)).setOldInputs(this.#struct(olds.inputs)).setNews(this.#struct(news));
    request
      .setTimeout(options.timeout)
      .setPreview(options.preview)
      .setIgnorechangesList([...options.ignoreChanges]);
    const response = await this.#call<proto.UpdateResponse>((done) => this.#client.update(request, done), news);
    return this.#annotate(fromStruct(response.getProperties()), news);
  }

  async read(subject: Subject, inputs: PropertyMap, outputs: PropertyMap, timeout: number): Promise<ReadAnswer> {
    const request = new proto.ReadRequest();
    request.setUrn(subject.urn).setType(typeOf(subject.urn)).setName(nameOf(subject.urn)).setId(subject.id);
    request.setInputs(this.#struct(inputs)).setProperties(this.#struct(outputs)).setTimeout(timeout);
    const response = await this.#call<proto.ReadResponse>((done) => this.#client.read(request, done), outputs);
    const answered = response.getInputs();
    return {
      id: response.getId(),
      outputs: this.#annotate(fromStruct(response.getProperties()), outputs),
      inputs: answered && this.#annotate(fromStruct(answered), inputs),
    };
  }

  async delete(subject: Subject, inputs: PropertyMap, outputs: PropertyMap, timeout: number): Promise<void> {
    const request = new proto.DeleteRequest();
    request.setUrn(subject.urn).setType(typeOf(subject.urn)).setName(nameOf(subject.urn)).setId(subject.id);
    request.setProperties(this.#struct(outputs)).setOldInputs(this.#struct(inputs)).setTimeout(timeout);
    await this.#call<Empty>((done) => this.#client.delete(request, done));
  }

  async invoke(token: string, inputs: PropertyMap, preview: boolean): Promise<proto.InvokeResponse> {
    const request = new proto.InvokeRequest();
    request.setTok(token).setArgs(this.#struct(inputs)).setPreview(preview);
    return this.#call<proto.InvokeResponse>((done) => this.#client.invoke(request, done));
  }

  async cancel(): Promise<void> {
    await this.#call<Empty>((done) => this.#client.cancel(new Empty(), done)).catch(() => undefined);
  }

  #struct(map: PropertyMap) {
    const withSecrets = this.#abilities.secrets ? map : mapValues(map, reveal);
    return toStruct(this.#abilities.references ? withSecrets : mapValues(withSecrets, withoutReferences));
  }

  #annotate(outputs: PropertyMap, inputs: PropertyMap): PropertyMap {
    return this.#abilities.secrets ? outputs : annotateSecrets(outputs, inputs);
  }

  async #call<Response>(call: Parameters<typeof answer<Response>>[0], inputs: PropertyMap = {}): Promise<Response> {
    try {
      return await answer<Response>(call);
    } catch (error) {
      const partial = initializationError(error as ServiceError);
      if (!partial) throw new ProviderError(messageOf(error as ServiceError), { cause: error });
      const outputs = this.#annotate(partial.outputs, inputs);
      throw new InitializationError(partial.id, outputs, partial.reasons, partial.message);
    }
  }
}

/** The result of a diff that the provider does not implement: compares the inputs. */
export function inputDifference(keys: readonly string[]): Difference {
  return { changes: keys.length > 0, changedKeys: keys, replaceKeys: [], deleteBeforeReplace: false };
}

function differenceOf(response: proto.DiffResponse, inputChanges: readonly string[]): Difference {
  const { DIFF_NONE, DIFF_UNKNOWN } = proto.DiffResponse.DiffChanges;
  const answered = response.getChanges();
  const detailed = [...response.getDetaileddiffMap().keys()].map((path) => path.split(/[.[]/)[0] ?? path);
  const named = [...response.getDiffsList(), ...detailed];
  return {
    changes: answered === DIFF_UNKNOWN ? inputChanges.length > 0 : answered !== DIFF_NONE,
    changedKeys: named.length > 0 ? named : inputChanges,
    replaceKeys: response.getReplacesList(),
    deleteBeforeReplace: response.getDeletebeforereplace(),
  };
}

function messageOf(error: ServiceError): string {
  if (error.code === status.UNAVAILABLE) return `the provider is gone: ${error.details}`;
  return error.details || error.message;
}

function initializationError(error: ServiceError): InitializationError | undefined {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  if (!(bytes instanceof Buffer)) return undefined;
  for (const detail of Status.deserializeBinary(bytes).getDetailsList()) {
    if (detail.getTypeName() !== "pulumirpc.ErrorResourceInitFailed") continue;
    const failed = ErrorResourceInitFailed.deserializeBinary(detail.getValue_asU8());
    const outputs = fromStruct(failed.getProperties());
    return new InitializationError(failed.getId(), outputs, failed.getReasonsList(), error.details);
  }
  return undefined;
}
