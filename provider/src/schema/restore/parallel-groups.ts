import type { Entry } from "../sql/toc-entries.js";

/** Entries that follow one another in the dump. */
export interface ParallelGroup {
  /** In the dump's order. */
  readonly entries: readonly Entry[];
  /**
   * The same entries where they can be restored in several sessions: nothing in one group is known to need anything in
   * another. Within a group order counts. Empty where it counts in all of the stretch.
   */
  readonly groups: readonly (readonly Entry[])[];
}

/** What names the relations that it needs, and comments. Everything else waits for all that is before it. */
const separable: ReadonlySet<string> = new Set([
  "COMMENT",
  "DEFAULT",
  "SEQUENCE",
  "SEQUENCE OWNED BY",
  "TABLE",
  "VIEW",
]);

const relations: ReadonlySet<string> = new Set(["SEQUENCE", "TABLE", "VIEW"]);

/** Fewer are restored before further sessions are open. */
const fewestApart = 200;
/** Entries of a group: few enough for all sessions to end together, and not to fill the locks of a small server. */
const mostOfGroup = 50;

/** Divides what is restored in the dump's order into parallelGroups, which follow one another. */
export function parallelGroupsOf(entries: readonly Entry[]): ParallelGroup[] {
  const parallelGroups: { entries: Entry[]; groups: Entry[][] }[] = [];
  const append = (some: readonly Entry[]): void => {
    const last = parallelGroups.at(-1);
    if (some.length >= fewestApart) parallelGroups.push({ entries: [...some], groups: groupsOf(some) });
    else if (last?.groups.length === 0) last.entries.push(...some);
    else if (some.length > 0) parallelGroups.push({ entries: [...some], groups: [] });
  };
  let run: Entry[] = [];
  for (const entry of entries) {
    if (separable.has(entry.type)) {
      run.push(entry);
      continue;
    }
    append(run);
    append([entry]);
    run = [];
  }
  append(run);
  return parallelGroups;
}

function groupsOf(entries: readonly Entry[]): Entry[][] {
  const groups: Entry[][] = [];
  for (const family of connectedComponents(entries)) {
    const last = groups.at(-1);
    if (last && last.length + family.length <= mostOfGroup) last.push(...family);
    else groups.push([...family]);
  }
  return groups;
}

/** Entries with all that they mention, and that mentions them, in the dump's order. */
function connectedComponents(entries: readonly Entry[]): Iterable<readonly Entry[]> {
  const leader = entries.map((_, index) => index);
  const leaderOf = (index: number): number => {
    while (leader[index] !== index) index = leader[index] = leader[leader[index]!]!;
    return index;
  };
  const makers = new Map<string | number, number>();
  const mentions = entries.map((entry, index) => {
    const names = entry.sql.match(qualifiedName) ?? [];
    if (!makers.has(entry.id)) makers.set(entry.id, index);
    // What an entry makes is what it names first.
    if (relations.has(entry.type) && names[0] !== undefined && !makers.has(names[0])) makers.set(names[0], index);
    return [...names, ...entry.dependencies, entry.id];
  });
  mentions.forEach((mentioned, index) => {
    for (const one of mentioned) {
      const maker = makers.get(one);
      // The earlier leads, so that families come in the order of their first entries.
      if (maker !== undefined) join(leader, leaderOf(maker), leaderOf(index));
    }
  });
  const families = new Map<number, Entry[]>();
  entries.forEach((entry, index) => {
    const first = leaderOf(index);
    const family = families.get(first);
    if (family) family.push(entry);
    else families.set(first, [entry]);
  });
  return families.values();
}

function join(leader: number[], one: number, other: number): void {
  leader[Math.max(one, other)] = Math.min(one, other);
}

/**
 * `schema.name` as pg_dump writes every relation, wherever it stands: in a string it may be a sequence's. What is found
 * wrongly keeps entries together, and what is missed is restored again, behind the others.
 */
const qualifiedName = /(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)\.(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)/g;
