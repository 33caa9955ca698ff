import { deletionWaves } from "./dependency-order";
import type { StepKind } from "../host";
import type { Journal } from "../journal";
import type { ProviderRegistry } from "../processes/provider-registry";
import type { ResourceState, StackState } from "../state/stack-state";
import { isProviderType, nameOf } from "../protocol/urn";

export class ProtectedResourceError extends Error {
  override readonly name = "ProtectedResourceError";

  constructor(urn: string, verb: "delete" | "replace") {
    super(`${nameOf(urn)} is protected, so this will not ${verb} it; set protect to false and run up first`);
  }
}

export interface DeletionOptions {
  readonly state: StackState;
  readonly providers: ProviderRegistry;
  readonly journal: Journal;
  readonly preview: boolean;
}

/** Deletes resources, dependents first. After a failure, it deletes no further resource. */
export class Deletion {
  readonly #options: DeletionOptions;

  constructor(options: DeletionOptions) {
    this.#options = options;
  }

  async deleteAll(condemned: readonly ResourceState[]): Promise<void> {
    const urns = new Set(condemned.map((resource) => resource.urn));
    for (const wave of deletionWaves(condemned)) {
      if (this.#options.journal.failed) return;
      await Promise.all(wave.map((resource) => this.#deleteOne(resource, urns)));
    }
  }

  /** Deletes a resource before its replacement is created. The state records that the replacement is missing. */
  async deleteForReplacement(resource: ResourceState): Promise<void> {
    const { state, journal } = this.#options;
    await journal.step("delete-replaced", resource.urn, () => this.#callProvider(resource));
    state.replace(resource, { ...resource, pendingReplacement: true });
  }

  async #deleteOne(resource: ResourceState, condemned: ReadonlySet<string>): Promise<void> {
    const { state, journal } = this.#options;
    const { urn } = resource;
    if (resource.pendingReplacement) {
      state.remove(resource);
      return;
    }
    const op: StepKind = resource.pendingDeletion ? "delete-replaced" : "delete";
    try {
      await journal.step(op, urn, async () => {
        if (resource.protect && !resource.pendingDeletion) throw new ProtectedResourceError(urn, "delete");
        const goesWithAnother = resource.deletedWith !== undefined && condemned.has(resource.deletedWith);
        if (!goesWithAnother) await this.#callProvider(resource);
        state.remove(resource);
      });
    } catch (error) {
      journal.fail(error, urn);
    }
  }

  async #callProvider(resource: ResourceState): Promise<void> {
    const { providers, preview } = this.#options;
    const { urn, id, inputs, outputs, timeouts } = resource;
    if (preview || !resource.custom || isProviderType(resource.type)) return;
    if (resource.external || resource.retainOnDelete) return;
    const provider = await providers.find(resource.type, resource.provider);
    await provider.delete({ urn, id }, inputs, outputs, timeouts.delete ?? 0);
  }
}
