import type { Client } from "pg";
import { keyOf, type ObjectKeys } from "../../schema/catalogue/definitions.js";
import { relationParts, renamedKinds } from "../../schema/catalogue/kinds.js";
import { readSchema, type SchemaObject } from "../../schema/catalogue/read-schema.js";

/** For each object of the source: its copy on the target. Both are `catalogueKey`s. Plain JSON. */
export type Copies = Readonly<Record<string, string>>;

export interface Sides {
  readonly source: Client;
  readonly target: Client;
}

/** The objects of one kind of both servers. */
export interface ObjectsOfBoth {
  readonly onSource: readonly SchemaObject[];
  readonly onTarget: readonly SchemaObject[];
}

export interface KnownCopies {
  readonly copies: Copies;
  /** The names when they were last applied to the target. The source may have renamed or dropped them since. */
  readonly given: ObjectKeys;
  /** Objects that the target was not given. Another user may have created others under their names. */
  readonly without: ReadonlySet<string>;
}

/** Triggers, rules and policies; and the other objects that are followed by their OIDs. */
export interface FollowedObjects {
  readonly parts: ObjectsOfBoth;
  readonly others: ObjectsOfBoth;
}

/** Reads both servers once. */
export async function readFollowedObjects({ source, target }: Sides): Promise<FollowedObjects> {
  const kinds = [...relationParts, ...renamedKinds];
  const [onSource, onTarget] = await Promise.all(
    [source, target].map(async (client) => (await readSchema(client, kinds, "details")).filter(isOwn)),
  );
  const only = (isWanted: (object: SchemaObject) => boolean): ObjectsOfBoth => ({
    onSource: onSource!.filter(isWanted),
    onTarget: onTarget!.filter(isWanted),
  });
  return { parts: only(({ of }) => of !== null), others: only(({ of }) => of === null) };
}

/** The server refuses to drop a part that a partition has from its parent. */
export const isOwn = ({ ofParent }: SchemaObject): boolean => !ofParent;

/** Pairs objects by name that have no copy yet. Names change on both sides, OIDs do not. */
export function pairCopies(
  { onSource, onTarget }: ObjectsOfBoth,
  { copies: known, given, without }: KnownCopies,
): Copies {
  const now = new Map(onSource.map((object) => [object.id, keyOf(object)]));
  const present = new Set(onTarget.map(({ id }) => id));
  const isKept = ([id, copy]: [string, string]): boolean => present.has(copy) || (!now.has(id) && id in given);
  // The copy of an ended object stays known after it was dropped: another one may have its name.
  const copies = new Map(Object.entries(known).filter(isKept));
  const used = new Set(copies.values());
  const unused = new Map(onTarget.filter(({ id }) => !used.has(id)).map((object) => [keyOf(object), object.id]));
  for (const [id, key] of [...Object.entries(given), ...now]) {
    const copy = copies.has(id) || without.has(id) ? undefined : unused.get(key);
    if (copy === undefined) continue;
    copies.set(id, copy);
    unused.delete(key);
  }
  return Object.fromEntries(copies);
}

/** The entries of objects that the source still has. */
export const presentOnly = <Value>(
  entries: Readonly<Record<string, Value>>,
  { onSource }: ObjectsOfBoth,
): Readonly<Record<string, Value>> => {
  const present = new Set(onSource.map(({ id }) => id));
  return Object.fromEntries(Object.entries(entries).filter(([id]) => present.has(id)));
};
