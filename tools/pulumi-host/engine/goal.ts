import type { Alias } from "@pulumi/pulumi/proto/alias_pb";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import type { PropertyMap } from "../protocol/property-value";
import { fromStruct } from "../protocol/rpc";
import type { Timeouts } from "../state/stack-state";
import { createUrn, type StackIdentity } from "../protocol/urn";

/** The desired state of a resource, as the program registers it. */
export interface Goal {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly custom: boolean;
  readonly parent: string | undefined;
  readonly provider: string | undefined;
  readonly inputs: PropertyMap;
  readonly dependencies: string[];
  readonly propertyDependencies: Record<string, string[]>;
  readonly deletedWith: string | undefined;
  readonly additionalSecretOutputs: string[];
  readonly timeouts: Timeouts;
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  /** Undefined if the provider decides. */
  readonly deleteBeforeReplace: boolean | undefined;
  readonly ignoreChanges: readonly string[];
  readonly replaceOnChanges: readonly string[];
  /** URNs that the resource may have in the state. */
  readonly aliases: readonly string[];
}

export function goalFromRequest(request: RegisterResourceRequest, identity: StackIdentity): Goal {
  const type = request.getType();
  const name = request.getName();
  const parent = optionalText(request.getParent());
  const listed = request.getAliasesList().map((alias) => aliasUrn(alias, { type, name, parent }, identity));
  return {
    urn: createUrn(identity, type, name, parent),
    type,
    name,
    custom: request.getCustom(),
    parent,
    provider: optionalText(request.getProvider()),
    inputs: fromStruct(request.getObject()),
    dependencies: request.getDependenciesList(),
    propertyDependencies: propertyDependenciesOf(request),
    deletedWith: optionalText(request.getDeletedwith()),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    timeouts: timeoutsOf(request.getCustomtimeouts()),
    protect: request.getProtect() ?? false,
    retainOnDelete: request.getRetainondelete() ?? false,
    deleteBeforeReplace: request.getDeletebeforereplacedefined() ? request.getDeletebeforereplace() : undefined,
    ignoreChanges: request.getIgnorechangesList(),
    replaceOnChanges: request.getReplaceonchangesList(),
    aliases: [...request.getAliasurnsList(), ...listed],
  };
}

function optionalText(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function propertyDependenciesOf(request: RegisterResourceRequest): Record<string, string[]> {
  const dependencies: Record<string, string[]> = {};
  request.getPropertydependenciesMap().forEach((value, key) => (dependencies[key] = value.getUrnsList()));
  return dependencies;
}

/** An alias contains only the parts of the URN that were different. */
function aliasUrn(
  alias: Alias,
  present: { readonly type: string; readonly name: string; readonly parent: string | undefined },
  identity: StackIdentity,
): string {
  const spec = alias.getSpec();
  if (!spec) return alias.getUrn();
  const former = { project: spec.getProject() || identity.project, stack: spec.getStack() || identity.stack };
  const parent = spec.getNoparent() ? undefined : spec.getParenturn() || present.parent;
  return createUrn(former, spec.getType() || present.type, spec.getName() || present.name, parent);
}

function timeoutsOf(timeouts: RegisterResourceRequest.CustomTimeouts | undefined): Timeouts {
  return {
    create: seconds(timeouts?.getCreate()),
    update: seconds(timeouts?.getUpdate()),
    delete: seconds(timeouts?.getDelete()),
    read: seconds(timeouts?.getRead()),
  };
}

export class InvalidDurationError extends Error {
  override readonly name = "InvalidDurationError";
}

const unitSeconds: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** The seconds of a duration such as `1h30m`. */
export function seconds(duration = ""): number | undefined {
  if (duration === "") return undefined;
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join("") !== duration) {
    throw new InvalidDurationError(`"${duration}" is not a duration such as 90s, 5m or 1h30m`);
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitSeconds[unit ?? ""] ?? 0), 0);
}
