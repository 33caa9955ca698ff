import type { ResourceState } from "../state/stack-state";

/** The URNs of a resource's dependencies, which must be deleted after it. */
export function dependenciesOf(resource: ResourceState): Set<string> {
  const provider = resource.provider?.split("::").slice(0, 4).join("::");
  const urns = [
    resource.parent ?? "",
    resource.deletedWith ?? "",
    provider ?? "",
    ...resource.dependencies,
    ...Object.values(resource.propertyDependencies).flat(),
  ];
  return new Set(urns.filter((urn) => urn !== ""));
}

/**
 * The order in which resources may be deleted. Resources of one wave can be deleted in parallel, because no later wave
 * depends on them.
 */
export function deletionWaves(condemned: readonly ResourceState[]): ResourceState[][] {
  const waves: ResourceState[][] = [];
  let remaining = [...condemned];
  while (remaining.length > 0) {
    const needed = new Set(remaining.flatMap((resource) => [...dependenciesOf(resource)]));
    const free = remaining.filter((resource) => !needed.has(resource.urn));
    const wave = free.length > 0 ? free : remaining;
    waves.push(wave);
    remaining = remaining.filter((resource) => !wave.includes(resource));
  }
  return waves;
}

/** All direct and indirect dependents of a resource, each after its own dependencies. */
export function dependentsOf(root: ResourceState, resources: readonly ResourceState[]): ResourceState[] {
  const reached = new Set([root.urn]);
  const dependents: ResourceState[] = [];
  let grown = true;
  while (grown) {
    const next = resources.filter(
      (resource) => !reached.has(resource.urn) && [...dependenciesOf(resource)].some((urn) => reached.has(urn)),
    );
    next.forEach((resource) => reached.add(resource.urn));
    dependents.push(...next);
    grown = next.length > 0;
  }
  return deletionWaves(dependents).reverse().flat();
}
