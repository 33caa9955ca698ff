import { status } from "@grpc/grpc-js";
import { type IResourceMonitorServer, ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/resource_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { goalFromRequest, type Goal } from "./goal";
import type { Journal } from "../journal";
import type { Mask } from "../protocol/mask";
import type { PropertyMap } from "../protocol/property-value";
import type { ProviderRegistry } from "../processes/provider-registry";
import type { ResourceRegistration } from "./resource-registration";
import { fromStruct, method, RpcError, type RpcServer, toStruct } from "../protocol/rpc";
import type { ResourceState, StackState } from "../state/stack-state";
import { createUrn, stackType, type StackIdentity } from "../protocol/urn";

const features = [
  proto.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_SECRETS,
  proto.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
  proto.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
  proto.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
];
/** The same features, for SDKs that ask for each one. */
const featureNames = ["secrets", "resourceReferences", "aliasSpecs", "deletedWith"];

export interface MonitorOptions {
  readonly identity: StackIdentity;
  readonly state: StackState;
  readonly registration: ResourceRegistration;
  readonly providers: ProviderRegistry;
  readonly journal: Journal;
  readonly mask: Mask;
  readonly preview: boolean;
}

/** Handles the requests of a running program. */
export class ResourceMonitor {
  readonly #options: MonitorOptions;
  readonly #running = new Set<Promise<unknown>>();
  #stackOutputs: PropertyMap | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  /** The exports of the program, or undefined if it ended before them. */
  get stackOutputs(): PropertyMap | undefined {
    return this.#stackOutputs;
  }

  /** Waits for running steps. After a failure, the program ends before them. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  addTo(server: RpcServer): void {
    const unsupported = (what: string) =>
      method<unknown, never>(() => {
        throw new RpcError(status.UNIMPLEMENTED, `${what} is not supported by this stand-in; use the Pulumi CLI`);
      });
    const service: IResourceMonitorServer = {
      getDeploymentInfo: method(() => this.#deploymentInfo()),
      supportsFeature: method((request: proto.SupportsFeatureRequest) =>
        new proto.SupportsFeatureResponse().setHassupport(featureNames.includes(request.getId())),
      ),
      registerResource: method((request: proto.RegisterResourceRequest) => this.#registerResource(request)),
      readResource: method((request: proto.ReadResourceRequest) => this.#readResource(request)),
      registerResourceOutputs: method((request: proto.RegisterResourceOutputsRequest) =>
        this.#registerOutputs(request),
      ),
      invoke: method((request: proto.ResourceInvokeRequest) => this.#invoke(request)),
      signalAndWaitForShutdown: method(() => new Empty()),
      existsResource: unsupported("asking whether a resource exists"),
      call: unsupported("a resource's method"),
      registerStackTransform: unsupported("a transform"),
      registerStackInvokeTransform: unsupported("a transform"),
      registerResourceHook: unsupported("a resource hook"),
      registerErrorHook: unsupported("a resource hook"),
      registerPackage: unsupported("a parameterized package"),
    };
    server.add(ResourceMonitorService, service);
  }

  #deploymentInfo(): proto.DeploymentInfo {
    const { identity, preview } = this.#options;
    const info = new proto.DeploymentInfo().setProject(identity.project).setStack(identity.stack);
    return info.setOrganization("organization").setDryrun(preview).setSupportedfeaturesList(features);
  }

  async #registerResource(request: proto.RegisterResourceRequest): Promise<proto.RegisterResourceResponse> {
    const goal = goalFromRequest(request, this.#options.identity);
    const resource = await this.#attempt(goal.urn, () => this.#register(goal, request.getRemote()));
    const response = new proto.RegisterResourceResponse().setUrn(goal.urn).setId(resource.id);
    return response.setObject(toStruct(resource.outputs));
  }

  async #register(goal: Goal, remote: boolean): Promise<ResourceState> {
    if (remote) throw new Error(`${goal.type} is a component of a provider, which this stand-in cannot construct`);
    return this.#options.registration.register(goal);
  }

  async #readResource(request: proto.ReadResourceRequest): Promise<proto.ReadResourceResponse> {
    const wanted = new proto.RegisterResourceRequest();
    wanted.setType(request.getType()).setName(request.getName()).setParent(request.getParent()).setCustom(true);
    wanted.setObject(request.getProperties()).setProvider(request.getProvider());
    wanted.setDependenciesList(request.getDependenciesList());
    wanted.setAdditionalsecretoutputsList(request.getAdditionalsecretoutputsList());
    const goal = goalFromRequest(wanted, this.#options.identity);
    const resource = await this.#attempt(goal.urn, () => this.#options.registration.read(goal, request.getId()));
    return new proto.ReadResourceResponse().setUrn(goal.urn).setProperties(toStruct(resource.outputs));
  }

  /**
   * One step of the program. A failure is reported on the resource and ends the whole operation. The program only sees
   * that the engine is unavailable, so the SDK ends it without further messages.
   */
  async #attempt<Result>(urn: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#options.journal.failed) throw new RpcError(status.UNAVAILABLE, "the operation has been stopped");
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      this.#options.journal.fail(error, urn);
      throw new RpcError(status.UNAVAILABLE, "the operation has failed");
    } finally {
      this.#running.delete(running);
    }
  }

  #registerOutputs(request: proto.RegisterResourceOutputsRequest): Empty {
    const { state, mask } = this.#options;
    const outputs = fromStruct(request.getOutputs());
    mask.learnFrom(outputs);
    const resource = state.find(request.getUrn());
    if (!resource) throw new RpcError(status.NOT_FOUND, `${request.getUrn()} has not been registered`);
    if (resource.type === stackType) this.#stackOutputs = outputs;
    else state.replace(resource, { ...resource, outputs });
    return new Empty();
  }

  async #invoke(request: proto.ResourceInvokeRequest): Promise<proto.ResourceInvokeResponse> {
    const token = request.getTok();
    const inputs = fromStruct(request.getArgs());
    if (token === "pulumi:pulumi:getResource") return this.#getResource(inputs);
    const provider = await this.#options.providers.find(token, request.getProvider());
    const answered = await provider.invoke(token, inputs, this.#options.preview);
    const response = new proto.ResourceInvokeResponse().setFailuresList(answered.getFailuresList());
    return response.setReturn(answered.getReturn());
  }

  #getResource(inputs: PropertyMap): proto.ResourceInvokeResponse {
    const wanted = typeof inputs.urn === "string" ? inputs.urn : "";
    const resource = this.#options.state.find(wanted);
    if (!resource) throw new RpcError(status.NOT_FOUND, `there is no resource ${wanted} in this stack`);
    const { urn, id, outputs } = resource;
    return new proto.ResourceInvokeResponse().setReturn(toStruct({ urn, id, state: outputs }));
  }
}

export function stackUrn(identity: StackIdentity): string {
  return createUrn(identity, stackType, `${identity.project}-${identity.stack}`);
}
