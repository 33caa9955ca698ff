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
  /** False for a component: it has a place in the tree but no provider. */
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
  /** Read, not created, by this stack: it is never updated or deleted. */
  external: z.boolean().default(false),
  /** Replaced already, but not yet deleted. */
  pendingDeletion: z.boolean().default(false),
  /** Deleted already, but its replacement is not yet created. */
  pendingReplacement: z.boolean().default(false),
  /** Why the resource exists but is not yet what it should be. */
  initErrors: z.array(z.string()).default([]),
});

export type ResourceState = Readonly<z.infer<typeof resourceState>>;
export type Timeouts = z.infer<typeof timeouts>;

/** The resources of a stack while an operation runs; every change is kept as soon as it is made. */
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

  /** The living resource of that name, not one that only waits for its deletion. */
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

  /** Several changes that make sense only together. */
  set(resources: readonly ResourceState[]): void {
    this.#set(resources);
  }

  /** Gives a resource its new name, also where others refer to it. */
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

/** The resource with every reference to another one changed, or dropped where the answer is undefined. */
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
