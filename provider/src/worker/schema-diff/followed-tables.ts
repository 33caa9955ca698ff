import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";

/**
 * By the OID of a table on the source: the OID of its copy on the target. Names change on both sides, OIDs do not: a copy
 * whose table was renamed several times, or was renamed and then dropped, is still recognized.
 */
export type FollowedTables = Readonly<Record<string, number>>;

/**
 * Pairs tables by name, as it is right after they were copied. Keeps the pairs of all other copies that are still on the
 * target: their tables may have been renamed or dropped on the source since.
 */
export function pairByName(
  followed: FollowedTables,
  sourceTables: readonly Table[],
  targetTables: readonly Table[],
): FollowedTables {
  const copies = new Map(targetTables.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
  const paired = Object.fromEntries(
    sourceTables.flatMap(({ schema, name, oid }) => {
      const copy = copies.get(qualify(schema, name));
      return copy === undefined ? [] : [[String(oid), copy]];
    }),
  );
  const taken = new Set(Object.values(paired));
  const present = new Set(copies.values());
  const others = Object.entries(followed).filter(([, copy]) => present.has(copy) && !taken.has(copy));
  return { ...Object.fromEntries(others), ...paired };
}
