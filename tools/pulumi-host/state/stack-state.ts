import { z } from "zod";
import type { PropertyMap, PropertyValue } from "../protocol/property-value";

const propertyValue: z.ZodType<PropertyValue> = z.lazy(() =>
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(propertyValue), z.record(z.string(), propertyValue)]),
);
const propertyMap: z.ZodType<PropertyMap> = z.record(z.string(), propertyValue);

const timeouts = z.object({
  create: z.number().optional(),
  update: z.number().optional(),
  delete: z.number().optional(),
  read: z.number().optional(),
});

export const resourceState = z.object({
  urn: z.string(),
  type: z.string(),
  /** False for a component, which has no provider. */
  custom: z.boolean(),
  id: z.string().default(""),
  parent: z.string().optional(),
  provider: z.string().optional(),
  inputs: propertyMap,
  outputs: propertyMap,
  dependencies: z.array(z.string()).default([]),
  propertyDependencies: z.record(z.string(), z.array(z.string())).default({}),
  deletedWith: z.string().optional(),
  additionalSecretOutputs: z.array(z.string()).default([]),
  /** In seconds. */
  timeouts: timeouts.default({}),
  protect: z.boolean().default(false),
  retainOnDelete: z.boolean().default(false),
  /** Read by this stack, not created: it is never updated or deleted. */
  external: z.boolean().default(false),
  /** Replaced, but not yet deleted. */
  pendingDeletion: z.boolean().default(false),
  /** Deleted, but its replacement is not yet created. */
  pendingReplacement: z.boolean().default(false),
  /** Reasons why the resource is incomplete. */
  initErrors: z.array(z.string()).default([]),
});

export type ResourceState = Readonly<z.infer<typeof resourceState>>;
export type Timeouts = z.infer<typeof timeouts>;

/** The resources of a stack during an operation. Every change is saved at once. */
export class StackState {
  #resources: readonly ResourceState[];
  readonly #keep: (resources: readonly ResourceState[]) => void;

  constructor(resources: readonly ResourceState[], keep: (resources: readonly ResourceState[]) => void) {
    this.#resources = resources;
    this.#keep = keep;
  }

  get resources(): readonly ResourceState[] {
    return this.#resources;
  }

  /** The resource with that URN, except for replaced ones that wait for their deletion. */
  find(urn: string): ResourceState | undefined {
    return this.#resources.find((resource) => resource.urn === urn && !resource.pendingDeletion);
  }

  add(resource: ResourceState): void {
    this.#set([...this.#resources, resource]);
  }

  replace(old: ResourceState, resource: ResourceState): void {
    this.#set(this.#resources.map((present) => (present === old ? resource : present)));
  }

  remove(old: ResourceState): void {
    this.#set(this.#resources.filter((present) => present !== old));
  }

  /** Saves several changes together. */
  set(resources: readonly ResourceState[]): void {
    this.#set(resources);
  }

  /** Renames a resource and all references to it. */
  rename(old: ResourceState, urn: string): ResourceState {
    const renamed = { ...old, urn };
    const follow = (reference: string) => (reference === old.urn ? urn : reference);
    const followed = this.#resources.map((resource) => (resource === old ? renamed : withReferences(resource, follow)));
    this.#set(followed);
    return renamed;
  }

  #set(resources: readonly ResourceState[]): void {
    this.#resources = resources;
    this.#keep(resources);
  }
}

/** The resource with changed references to others. A reference is dropped if `follow` returns undefined. */
export function withReferences(resource: ResourceState, follow: (urn: string) => string | undefined): ResourceState {
  const followAll = (urns: readonly string[]) => urns.map(follow).filter((urn) => urn !== undefined);
  return {
    ...resource,
    parent: resource.parent === undefined ? undefined : follow(resource.parent),
    deletedWith: resource.deletedWith === undefined ? undefined : follow(resource.deletedWith),
    dependencies: followAll(resource.dependencies),
    propertyDependencies: Object.fromEntries(
      Object.entries(resource.propertyDependencies).map(([key, urns]) => [key, followAll(urns)]),
    ),
  };
}
