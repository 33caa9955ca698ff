import { qualify } from "../../postgres/identifiers.js";
import type { Table } from "../../postgres/tables.js";

/**
 * By the OID of a table on the source: the OID of its copy on the target. Names change on both sides, OIDs do not: a copy
 * whose table was renamed several times, or was renamed and then dropped, is still recognized.
 */
export type FollowedTables = Readonly<Record<string, number>>;

/**
 * Pairs tables by name that were just copied, or that have no copy yet. All other pairs stay while their copies are on the target:
 * the tables may have been renamed, swapped or dropped on the source since. A copy whose name another table has taken must not
 * be forgotten, because it would remain on the target as a stale table.
 *
 * @param copied the OIDs of the tables on the source that were just copied
 */
export function pairByName(
  followed: FollowedTables,
  sourceTables: readonly Table[],
  targetTables: readonly Table[],
  copied: ReadonlySet<number>,
): FollowedTables {
  const copies = new Map(targetTables.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
  const byName = (tables: readonly Table[]): (readonly [string, number])[] =>
    tables.flatMap(({ schema, name, oid }) => {
      const copy = copies.get(qualify(schema, name));
      return copy === undefined ? [] : [[String(oid), copy] as const];
    });
  const isCopied = ({ oid }: Table): boolean => copied.has(oid);
  const renewed = byName(sourceTables.filter(isCopied));
  const copiesOf = (pairs: readonly (readonly [string, number])[]): Set<number> =>
    new Set(pairs.map(([, copy]) => copy));
  const [present, taken] = [new Set(copies.values()), copiesOf(renewed)];
  const kept = Object.entries(followed).filter(
    ([original, copy]) => present.has(copy) && !taken.has(copy) && !copied.has(Number(original)),
  );
  const known = Object.fromEntries([...kept, ...renewed]);
  const used = copiesOf([...kept, ...renewed]);
  const others = byName(sourceTables).filter(([original, copy]) => !(original in known) && !used.has(copy));
  return { ...Object.fromEntries(others), ...known };
}

/**
 * The source's tables whose names other tables' copies have on the target, qualified and quoted. The source may have exchanged
 * names, and exchanged them back after the target had taken them.
 */
export function tablesWithOthersCopies(
  followed: FollowedTables,
  sourceTables: readonly Table[],
  targetTables: readonly Table[],
): string[] {
  const originals = new Map(Object.entries(followed).map(([original, copy]) => [copy, Number(original)]));
  const originalOf = new Map(
    targetTables.map(({ schema, name, oid }) => [qualify(schema, name), originals.get(oid)] as const),
  );
  return sourceTables.flatMap(({ schema, name, oid }) => {
    const original = originalOf.get(qualify(schema, name));
    return original === undefined || original === oid ? [] : [qualify(schema, name)];
  });
}

/**
 * Whether the target's table under the name of this relation is the copy of another table. The source has given the name to a new
 * table, or the stream describes a table under the name that it had before.
 */
export function isCopyOfOther(
  followed: FollowedTables,
  { oid, schema, name }: Pick<Table, "oid" | "schema" | "name">,
  targetTables: ReadonlyMap<string, Table>,
): boolean {
  const copy = targetTables.get(qualify(schema, name))?.oid;
  if (copy === undefined || followed[oid] === copy) return false;
  const ownCopy = followed[oid];
  const isOnTarget = ownCopy !== undefined && [...targetTables.values()].some((table) => table.oid === ownCopy);
  return isOnTarget || Object.values(followed).includes(copy);
}
