import * as pulumi from "@pulumi/pulumi";

/** The beginning of a resource's name, after Microsoft's Cloud Adoption Framework's list of abbreviations. */
export type Kind =
  "rg" | "vnet" | "snet" | "pip" | "ng" | "vgw" | "dnspr" | "in" | "pdns" | "pdnslink" | "pep" | "psql" | "ma";

/** How everything in one lab is named and tagged. */
export interface Naming {
  /** `<kind>-<lab>-<stack>`, and what tells several of a kind apart. */
  of(kind: Kind, what?: string): string;
  /** `<lab>-<stack>-<what>`, for a component that puts kinds before it itself. */
  ofComponent(what: string): string;
  readonly tags: Readonly<Record<string, string>>;
}

export function naming(lab: string, tags: Readonly<Record<string, string>>): Naming {
  const stack = pulumi.getStack();
  return {
    of: (kind, what) => [kind, lab, stack, what].filter((part) => part !== undefined).join("-"),
    ofComponent: (what) => [lab, stack, what].join("-"),
    tags: { "managed-by": "pulumi", project: pulumi.getProject(), stack, ...tags },
  };
}
