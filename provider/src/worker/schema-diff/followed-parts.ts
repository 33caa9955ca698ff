import { temporaryName } from "../../postgres/identifiers.js";

/** Names of the parts of a table or type: columns or attributes. The index is the attribute number minus one; dropped parts are null. */
export type PartNames = readonly (string | null)[];

/** The copy of a table or composite type on the target, and the counterparts of its columns or attributes. */
export interface FollowedParts {
  /** The OID on the target. */
  readonly copy: number;
  /**
   * The index is the attribute number on the source, minus one. The value is the attribute number on the target, or the name
   * under which the target will get the attribute. It is null if the source has dropped the attribute.
   */
  readonly parts: readonly (number | string | null)[];
}

/** By the OID of a table or type on the source. Plain JSON. */
export type FollowedByOid = Readonly<Record<string, FollowedParts>>;

/**
 * Pairs columns or attributes by name that have no counterpart yet. Names change on both sides, but attribute numbers do not.
 * A column is therefore still recognized if it was renamed several times, or back, while the target got its first new name.
 *
 * @param before the names when the source was last applied to the target; the source may have renamed them since
 */
export function pairColumnsOrAttributes(
  known: FollowedParts | undefined,
  before: PartNames = [],
  { now, copy, onTarget }: { readonly now: PartNames; readonly copy: number; readonly onTarget: PartNames },
): FollowedParts {
  const former = known?.copy === copy ? known.parts : [];
  const isPresent = (part: FollowedParts["parts"][number] | undefined): part is number =>
    typeof part === "number" && (onTarget[part - 1] ?? null) !== null;
  const used = new Set(former.filter((part, place) => isPresent(part) && (now[place] ?? null) !== null));
  const unusedNamed = (name: string): number | undefined => {
    const number = onTarget.indexOf(name) + 1;
    if (number === 0 || used.has(number)) return undefined;
    used.add(number);
    return number;
  };
  const parts = now.map((name, place) => {
    const part = former[place] ?? null;
    if (name === null || isPresent(part)) return name === null ? null : part;
    const expected = typeof part === "string" ? part : (before[place] ?? name);
    // A number that the target has lost stays: the part had been given to the target.
    return unusedNamed(expected) ?? unusedNamed(name) ?? part ?? expected;
  });
  return { copy, parts };
}

/** The names on the target of the parts that it has, by the names on the source. */
export function namesOnTarget(
  { parts }: FollowedParts,
  now: PartNames,
  onTarget: PartNames,
): ReadonlyMap<string, string> {
  return new Map(
    parts.flatMap((part, place): [string, string][] => {
      const [name, counterpart] = [now[place] ?? null, typeof part === "number" ? (onTarget[part - 1] ?? null) : null];
      return name === null || counterpart === null ? [] : [[name, counterpart]];
    }),
  );
}

/** Orders renames so that no name is used twice. A cycle of renames starts with a temporary name. */
export function inOrder(
  renames: readonly (readonly [string, string])[],
  statement: (from: string, to: string) => string,
): string[] {
  const waiting = new Map(renames);
  const statements: string[] = [];
  while (waiting.size > 0) {
    const free = [...waiting].find(([, to]) => !waiting.has(to));
    const [from, to] = free ?? [...waiting][0]!;
    waiting.delete(from);
    if (free) statements.push(statement(from, to));
    else {
      const aside = temporaryName(from);
      statements.push(statement(from, aside));
      waiting.set(aside, to);
    }
  }
  return statements;
}
