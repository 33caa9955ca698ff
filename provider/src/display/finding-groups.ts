/** What a migration reports under one code. */
export interface ReportedCode {
  readonly state: "Failed" | "Warning";
  /** Null for a finding of a worker of another version. */
  readonly code: string | null;
  /** The meaning of the code. */
  readonly meaning: string;
  readonly remedy: string | null;
}

/** One code, with the members of a fleet that report it. `Failed` if it blocks any of them. */
export interface FindingGroup extends ReportedCode {
  readonly members: readonly string[];
}

interface MemberFindings {
  readonly name: string;
  readonly findings: readonly ReportedCode[];
}

/** The findings of all members, one group for each code: failures first, then those of more members. */
export function groupFindings(members: readonly MemberFindings[]): FindingGroup[] {
  const groups = new Map<string, { readonly found: ReportedCode; readonly names: Set<string> }>();
  for (const { name, findings } of members)
    for (const finding of findings) {
      const key = keyOf(finding);
      const { found, names } = groups.get(key) ?? { found: finding, names: new Set<string>() };
      groups.set(key, { found: found.state === "Failed" ? found : finding, names: names.add(name) });
    }
  return [...groups.values()].map(({ found, names }) => ({ ...found, members: [...names] })).sort(compareGroups);
}

/** Names one group of a list. */
export const keyOf = ({ code, meaning }: ReportedCode): string => code ?? meaning;

const compareGroups = (one: FindingGroup, other: FindingGroup): number =>
  one.state.localeCompare(other.state) ||
  other.members.length - one.members.length ||
  keyOf(one).localeCompare(keyOf(other));
