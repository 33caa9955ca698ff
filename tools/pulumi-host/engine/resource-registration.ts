import type { Deletion } from "./deletion";
import { ProtectedResourceError } from "./deletion";
import { dependentsOf } from "./dependency-order";
import type { Goal } from "./goal";
import type { Journal } from "../journal";
import type { Mask } from "../protocol/mask";
import { ignoreChanges } from "../protocol/property-path";
import { changedKeys, mapValues, secret, unknownValue, type PropertyMap } from "../protocol/property-value";
import { type Difference, InitializationError, type Provider } from "../processes/provider";
import type { ProviderRegistry } from "../processes/provider-registry";
import type { ResourceState, StackState } from "../state/stack-state";
import { isProviderType, nameOf } from "../protocol/urn";

export class DuplicateResourceError extends Error {
  override readonly name = "DuplicateResourceError";
}

export class InvalidInputsError extends Error {
  override readonly name = "InvalidInputsError";
}

export interface RegistrationOptions {
  readonly state: StackState;
  readonly providers: ProviderRegistry;
  readonly deletion: Deletion;
  readonly journal: Journal;
  readonly mask: Mask;
  readonly preview: boolean;
}

/** A custom resource with its old and its desired state. */
interface Change {
  readonly goal: Goal;
  readonly old: ResourceState;
  readonly inputs: PropertyMap;
  readonly provider: Provider;
}

/** Creates, updates or replaces each resource that the program registers. */
export class ResourceRegistration {
  readonly #options: RegistrationOptions;
  readonly #registered = new Set<string>();
  readonly #formerUrns = new Map<string, string>();

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** True if the program registered the resource. Others in the state were removed from the program. */
  has(urn: string): boolean {
    return this.#registered.has(urn);
  }

  async register(goal: Goal): Promise<ResourceState> {
    this.#claim(goal.urn);
    this.#options.mask.learnFrom(goal.inputs);
    const old = this.#adopt(goal);
    if (!goal.custom || isProviderType(goal.type)) return this.#registerWithoutProvider(goal, old);
    const provider = await this.#options.providers.find(goal.type, goal.provider);
    if (!old || old.external || old.pendingReplacement) return this.#registerNew(goal, old, provider);
    const wanted = ignoreChanges(goal.inputs, old.inputs, goal.ignoreChanges);
    const inputs = await this.#check(goal, provider, wanted, old.inputs);
    return this.#change({ goal, old, inputs, provider });
  }

  /** Records a resource that this stack does not manage. */
  async read(goal: Goal, id: string): Promise<ResourceState> {
    this.#claim(goal.urn);
    const { providers, state, journal } = this.#options;
    const provider = await providers.find(goal.type, goal.provider);
    return journal.step("read", goal.urn, async () => {
      const found = await provider.read({ urn: goal.urn, id }, goal.inputs, {}, goal.timeouts.read ?? 0);
      if (found.id === "") throw new InvalidInputsError(`no ${goal.type} has the id ${id}`);
      const resource = this.#resource(goal, found.id, goal.inputs, found.outputs);
      return this.#keep(state.find(goal.urn), { ...resource, external: true });
    });
  }

  #claim(urn: string): void {
    if (this.#registered.has(urn)) {
      throw new DuplicateResourceError(`two resources have the URN ${urn}: give them different names`);
    }
    this.#registered.add(urn);
  }

  /** The goal's resource in the state. It gets its new name if an alias names the old one. */
  #adopt(goal: Goal): ResourceState | undefined {
    const { state } = this.#options;
    const present = state.find(goal.urn);
    if (present) return present;
    const former = [...goal.aliases, ...this.#inheritedAliases(goal)]
      .filter((urn) => !this.#registered.has(urn))
      .map((urn) => state.find(urn))
      .find((resource) => resource !== undefined);
    if (!former) return undefined;
    this.#formerUrns.set(goal.urn, former.urn);
    return state.rename(former, goal.urn);
  }

  /** A child's URN contains the types of its parents, so a renamed parent renames the child. */
  #inheritedAliases(goal: Goal): string[] {
    const formerParent = goal.parent === undefined ? undefined : this.#formerUrns.get(goal.parent);
    if (goal.parent === undefined || formerParent === undefined) return [];
    const parentType = formerParent.split("::")[2] ?? "";
    const head = formerParent.split("::").slice(0, 2).join("::");
    const urn = (name: string) => `${head}::${parentType}$${goal.type}::${name}`;
    const [parentName, formerName] = [nameOf(goal.parent), nameOf(formerParent)];
    const renamed = goal.name.startsWith(parentName) ? formerName + goal.name.slice(parentName.length) : goal.name;
    return [urn(goal.name), urn(renamed)];
  }

  async #registerWithoutProvider(goal: Goal, old: ResourceState | undefined): Promise<ResourceState> {
    const { journal, providers } = this.#options;
    const isProvider = isProviderType(goal.type);
    if (isProvider) providers.declare(goal.urn, goal.inputs);
    const outputs = isProvider ? goal.inputs : (old?.outputs ?? {});
    const resource = this.#resource(goal, isProvider ? old?.id || nameOf(goal.urn) : "", goal.inputs, outputs);
    const isChanged = old !== undefined && changedKeys(old.inputs, goal.inputs).length > 0;
    const op = old === undefined ? "create" : isChanged ? "update" : "same";
    return journal.step(op, goal.urn, () => this.#keep(old, resource));
  }

  /** Creates a new resource, or the replacement of a deleted one. */
  async #registerNew(goal: Goal, old: ResourceState | undefined, provider: Provider): Promise<ResourceState> {
    const inputs = await this.#check(goal, provider, goal.inputs);
    const { journal } = this.#options;
    if (!old?.pendingReplacement) return this.#create("create", { goal, inputs, provider }, { gone: old });
    const created = await this.#create("create-replacement", { goal, inputs, provider }, { gone: old });
    journal.record("replace", goal.urn);
    return created;
  }

  async #change(change: Change): Promise<ResourceState> {
    const { goal, old, inputs, provider } = change;
    const found = await provider.diff(old, old, inputs, goal.ignoreChanges);
    const difference = withReplaceOnChanges(found, goal.replaceOnChanges);
    if (difference.changes && difference.replaceKeys.length > 0) return this.#replace(change, difference);
    if (difference.changes || old.initErrors.length > 0) return this.#update(change);
    const same = { ...this.#resource(goal, old.id, inputs, old.outputs) };
    return this.#options.journal.step("same", goal.urn, () => this.#keep(old, same));
  }

  async #replace({ goal, old, provider }: Change, difference: Difference): Promise<ResourceState> {
    const { journal, state } = this.#options;
    if (goal.protect && old.protect) throw new ProtectedResourceError(goal.urn, "replace");
    // Without the old inputs, because values that the provider chose for the old resource must not be reused.
    const inputs = await this.#check(goal, provider, goal.inputs);
    if (goal.deleteBeforeReplace ?? difference.deleteBeforeReplace) {
      await this.#makeRoom(old);
      const created = await this.#create(
        "create-replacement",
        { goal, inputs, provider },
        { gone: state.find(goal.urn) },
      );
      journal.record("replace", goal.urn);
      return created;
    }
    const created = await this.#create("create-replacement", { goal, inputs, provider }, { replaced: old });
    journal.record("replace", goal.urn);
    return created;
  }

  /** Deletes a resource before its replacement is created. Dependents that are replaced with it are deleted first. */
  async #makeRoom(old: ResourceState): Promise<void> {
    const { deletion, state } = this.#options;
    const condemned = new Set([old.urn]);
    const doomed: ResourceState[] = [];
    for (const dependent of dependentsOf(old, state.resources)) {
      if (dependent.pendingDeletion || dependent.pendingReplacement || this.has(dependent.urn)) continue;
      if (!(await this.#isReplacedWith(dependent, condemned))) continue;
      if (dependent.protect) throw new ProtectedResourceError(dependent.urn, "replace");
      condemned.add(dependent.urn);
      doomed.unshift(dependent);
    }
    for (const resource of [...doomed, old]) await deletion.deleteForReplacement(resource);
  }

  /** True if the resource must be replaced because it uses outputs of a deleted resource. */
  async #isReplacedWith(resource: ResourceState, condemned: ReadonlySet<string>): Promise<boolean> {
    if (!resource.custom || resource.external || isProviderType(resource.type)) return false;
    const takes = (key: string) => (resource.propertyDependencies[key] ?? []).some((urn) => condemned.has(urn));
    if (!Object.keys(resource.inputs).some(takes)) return false;
    const inputs = mapValues(resource.inputs, (value, key) => (takes(key) ? unknownValue : value));
    const provider = await this.#options.providers.find(resource.type, resource.provider);
    const difference = await provider.diff(resource, resource, inputs, []);
    return difference.replaceKeys.length > 0;
  }

  async #check(goal: Goal, provider: Provider, news: PropertyMap, olds?: PropertyMap): Promise<PropertyMap> {
    const { inputs, failures } = await provider.check(goal.urn, olds, news);
    this.#options.mask.learnFrom(inputs);
    if (failures.length === 0) return inputs;
    const reasons = failures.map(({ property, reason }) => (property === "" ? reason : `${property}: ${reason}`));
    throw new InvalidInputsError(`${goal.name} has invalid inputs: ${reasons.join("; ")}`);
  }

  /** Creates a resource in place of `gone`, which no longer exists, or beside `replaced`, which is deleted later. */
  async #create(
    op: "create" | "create-replacement",
    { goal, inputs, provider }: Omit<Change, "old">,
    { gone, replaced }: { readonly gone?: ResourceState | undefined; readonly replaced?: ResourceState },
  ): Promise<ResourceState> {
    const { journal, preview, state } = this.#options;
    const keep = (resource: ResourceState): ResourceState => {
      if (!replaced) return this.#keep(gone, resource);
      const others = state.resources.filter((present) => present !== replaced);
      state.set([...others, resource, { ...replaced, pendingDeletion: true }]);
      return resource;
    };
    return journal.step(op, goal.urn, async () => {
      try {
        const created = await provider.create(goal.urn, inputs, goal.timeouts.create ?? 0, preview);
        return keep(this.#resource(goal, created.id, inputs, created.outputs));
      } catch (error) {
        if (error instanceof InitializationError) keep(this.#incomplete(goal, error.id, inputs, error));
        throw error;
      }
    });
  }

  async #update({ goal, old, inputs, provider }: Change): Promise<ResourceState> {
    const { journal, preview } = this.#options;
    const options = { timeout: goal.timeouts.update ?? 0, ignoreChanges: goal.ignoreChanges, preview };
    return journal.step("update", goal.urn, async () => {
      try {
        const outputs = await provider.update(old, old, inputs, options);
        return this.#keep(old, this.#resource(goal, old.id, inputs, outputs));
      } catch (error) {
        if (error instanceof InitializationError) this.#keep(old, this.#incomplete(goal, old.id, inputs, error));
        throw error;
      }
    });
  }

  #keep(old: ResourceState | undefined, resource: ResourceState): ResourceState {
    const { state, mask } = this.#options;
    mask.learnFrom(resource.outputs);
    if (old) state.replace(old, resource);
    else state.add(resource);
    return resource;
  }

  #incomplete(goal: Goal, id: string, inputs: PropertyMap, error: InitializationError): ResourceState {
    const reasons = error.reasons.length > 0 ? [...error.reasons] : [error.message];
    return { ...this.#resource(goal, id, inputs, error.outputs), initErrors: reasons };
  }

  #resource(goal: Goal, id: string, inputs: PropertyMap, outputs: PropertyMap): ResourceState {
    const { urn, type, custom, parent, provider, dependencies, propertyDependencies, deletedWith } = goal;
    const { additionalSecretOutputs, timeouts, protect, retainOnDelete } = goal;
    return {
      urn,
      type,
      custom,
      id,
      parent,
      provider,
      inputs,
      outputs: withSecretOutputs(outputs, additionalSecretOutputs),
      dependencies,
      propertyDependencies,
      deletedWith,
      additionalSecretOutputs,
      timeouts,
      protect,
      retainOnDelete,
      external: false,
      pendingDeletion: false,
      pendingReplacement: false,
      initErrors: [],
    };
  }
}

export function withSecretOutputs(outputs: PropertyMap, names: readonly string[]): PropertyMap {
  return mapValues(outputs, (value, key) => (names.includes(key) ? secret(value) : value));
}

function withReplaceOnChanges(difference: Difference, paths: readonly string[]): Difference {
  const replaceAll = paths.includes("*");
  const names = new Set(paths.map((path) => path.split(/[.[]/)[0]));
  const keys = difference.changedKeys.filter((key) => replaceAll || names.has(key));
  return { ...difference, replaceKeys: [...new Set([...difference.replaceKeys, ...keys])] };
}
