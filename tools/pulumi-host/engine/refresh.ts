import type { Journal } from "../journal";
import { sameValue } from "../protocol/property-value";
import { InitializationError, type Provider } from "../processes/provider";
import type { ProviderRegistry } from "../processes/provider-registry";
import { type ResourceState, type StackState, withReferences } from "../state/stack-state";
import { withSecretOutputs } from "./resource-registration";
import { isProviderType } from "../protocol/urn";

/** Reads all resources from their providers. The state is only changed if every read succeeds. */
export async function refreshState(state: StackState, providers: ProviderRegistry, journal: Journal): Promise<void> {
  const refreshed = await Promise.all(
    state.resources.map(async (resource) => {
      try {
        return await refreshResource(resource, providers, journal);
      } catch (error) {
        journal.fail(error, resource.urn);
        return undefined;
      }
    }),
  );
  if (journal.failed) return;
  const present = refreshed.filter((resource) => resource !== undefined);
  const urns = new Set(present.map((resource) => resource.urn));
  const follow = (urn: string) => (urns.has(urn) ? urn : undefined);
  state.set(present.map((resource) => withReferences(resource, follow)));
}

/** The present resource, or undefined if it no longer exists. */
async function refreshResource(
  resource: ResourceState,
  providers: ProviderRegistry,
  journal: Journal,
): Promise<ResourceState | undefined> {
  if (!resource.custom || isProviderType(resource.type) || resource.pendingReplacement) {
    journal.record("same", resource.urn);
    return resource;
  }
  const provider = await providers.find(resource.type, resource.provider);
  const outcome = (found: ResourceState | undefined) => {
    if (!found) return "delete";
    return sameValue(found.outputs, resource.outputs) && found.id === resource.id ? "same" : "update";
  };
  return journal.step("refresh", resource.urn, () => read(resource, provider, journal), outcome);
}

async function read(resource: ResourceState, provider: Provider, journal: Journal): Promise<ResourceState | undefined> {
  const { inputs, outputs, timeouts, additionalSecretOutputs } = resource;
  try {
    const found = await provider.read(resource, inputs, outputs, timeouts.read ?? 0);
    if (found.id === "") return undefined;
    const foundOutputs = withSecretOutputs(found.outputs, additionalSecretOutputs);
    return { ...resource, id: found.id, inputs: found.inputs ?? inputs, outputs: foundOutputs, initErrors: [] };
  } catch (error) {
    if (!(error instanceof InitializationError)) throw error;
    journal.say({ severity: "warning", message: error.message, urn: resource.urn });
    const foundOutputs = withSecretOutputs(error.outputs, additionalSecretOutputs);
    return { ...resource, id: error.id, outputs: foundOutputs, initErrors: [...error.reasons] };
  }
}
