import type { Entry } from "../sql/toc-entries.js";

/** Consecutive entries of the dump. */
export interface ParallelGroup {
  /** In the dump's order. */
  readonly entries: readonly Entry[];
  /**
   * The same entries in groups for several sessions. No group is known to need an entry of another group; within a
   * group the order is kept. Empty if the whole sequence has to keep its order.
   */
  readonly groups: readonly (readonly Entry[])[];
}

/**
 * Kinds whose statements contain the relations that they need, and comments. Other kinds wait for all earlier entries.
 */
const separable: ReadonlySet<string> = new Set([
  "COMMENT",
  "DEFAULT",
  "SEQUENCE",
  "SEQUENCE OWNED BY",
  "TABLE",
  "VIEW",
]);

const relations: ReadonlySet<string> = new Set(["SEQUENCE", "TABLE", "VIEW"]);

/** Minimum number of entries for opening further sessions. */
const fewestApart = 200;
/**
 * Maximum number of entries in a group. With it, all sessions end at about the same time, and do not fill a small
 * server's lock table.
 */
const maxGroupEntries = 50;

/** Divides entries in the dump's order into consecutive groups. */
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
  for (const family of relatedEntries(entries)) {
    const last = groups.at(-1);
    if (last && last.length + family.length <= maxGroupEntries) last.push(...family);
    else groups.push([...family]);
  }
  return groups;
}

/** Groups entries that mention each other's objects, in the dump's order. */
export function relatedEntries(entries: readonly Entry[]): Iterable<readonly Entry[]> {
  const leader = entries.map((_, index) => index);
  const leaderOf = (index: number): number => {
    while (leader[index] !== index) index = leader[index] = leader[leader[index]!]!;
    return index;
  };
  const makers = new Map<string | number, number>();
  const mentions = entries.map((entry, index) => {
    const names = entry.sql.match(qualifiedName) ?? [];
    if (!makers.has(entry.id)) makers.set(entry.id, index);
    // The first relation in a statement is the one that it creates.
    if (relations.has(entry.type) && names[0] !== undefined && !makers.has(names[0])) makers.set(names[0], index);
    return [...names, ...entry.dependencies, entry.id];
  });
  mentions.forEach((mentioned, index) => {
    for (const one of mentioned) {
      const maker = makers.get(one);
      // The earlier entry becomes the leader, so that groups are in the order of their first entries.
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
 * Matches `schema.name`, as pg_dump writes relations, also inside strings, which may contain a sequence's name. A false
 * match only keeps entries together. A missed one causes a refusal, and the entry is retried later.
 */
const qualifiedName = /(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)\.(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)/g;
