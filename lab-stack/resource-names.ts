import * as pulumi from "@pulumi/pulumi";

/** Prefixes of resource names, from Microsoft's Cloud Adoption Framework. */
export type ResourceKind =
  | "rg"
  | "vnet"
  | "snet"
  | "pip"
  | "ng"
  | "vgw"
  | "dnspr"
  | "in"
  | "pdns"
  | "pdnslink"
  | "pep"
  | "psql"
  | "ma"
  | "nsg"
  | "nic"
  | "vm"
  | "peer"
  | "lgw"
  | "con"
  | "ag"
  | "wb";

/** Names and tags of a lab's resources. */
export interface Naming {
  /** `<kind>-<lab>-<stack>`, with a suffix if the lab has several resources of the kind. */
  of(kind: ResourceKind, suffix?: string): string;
  /** `<lab>-<stack>-<suffix>`, for a component that adds the prefixes itself. */
  ofComponent(suffix: string): string;
  readonly tags: Readonly<Record<string, string>>;
}

export function naming(lab: string, tags: Readonly<Record<string, string>>): Naming {
  const stack = pulumi.getStack();
  return {
    of: (kind, suffix) => [kind, lab, stack, suffix].filter((part) => part !== undefined).join("-"),
    ofComponent: (suffix) => [lab, stack, suffix].join("-"),
    tags: { "managed-by": "pulumi", project: pulumi.getProject(), stack, ...tags },
  };
}
