export const stackType = "pulumi:pulumi:Stack";
const providerTypePrefix = "pulumi:providers:";

export interface StackIdentity {
  readonly project: string;
  readonly stack: string;
}

/** Makes a URN. It contains the types of all parents except for the stack. */
export function createUrn(identity: StackIdentity, type: string, name: string, parent?: string): string {
  const parentType = parent === undefined ? "" : qualifiedTypeOf(parent);
  const prefix = parentType === "" || parentType === stackType ? "" : `${parentType}$`;
  return `urn:pulumi:${identity.stack}::${identity.project}::${prefix}${type}::${name}`;
}

function qualifiedTypeOf(urn: string): string {
  return urn.split("::")[2] ?? "";
}

export function typeOf(urn: string): string {
  return qualifiedTypeOf(urn).split("$").at(-1) ?? "";
}

/** A name can contain `::`. */
export function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/** The package that provides a resource type or function: `azure-native` of `azure-native:network:Subnet`. */
export function packageOf(token: string): string {
  if (token.startsWith(providerTypePrefix)) return token.slice(providerTypePrefix.length);
  return token.split(":")[0] ?? "";
}

export function isProviderType(type: string): boolean {
  return type.startsWith(providerTypePrefix);
}
