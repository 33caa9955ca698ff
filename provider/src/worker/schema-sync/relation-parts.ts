import type { Client } from "pg";
import { qualify } from "../../postgres/identifiers.js";
import { type Definitions, dropStatement, type PartKeys, readDefinitions } from "../../schema/catalogue/definitions.js";
import { relationParts } from "../../schema/catalogue/kinds.js";
import { tables } from "../../schema/catalogue/kinds/relations/tables.js";
import { views } from "../../schema/catalogue/kinds/relations/views.js";
import { readSchema, type SchemaObject } from "../../schema/catalogue/read-schema.js";

/** For each trigger, rule or policy of the source: its copy on the target. Both are `catalogueKey`s. */
type Copies = Readonly<Record<string, string>>;

interface Sides {
  readonly source: Client;
  readonly target: Client;
}

/** A trigger, rule or policy of the target that the source no longer has, or has under another name. */
export interface EndedPart {
  /** On the source. */
  readonly id: string;
  /** Its present name on the source, if it was renamed. */
  readonly key?: string;
  readonly drop: string;
}

interface KnownParts {
  readonly copies: Copies;
  /** The names when they were last applied to the target. The source may have renamed or dropped them since. */
  readonly given: PartKeys;
  /** Parts that the target was not given. Another user may have created others under their names. */
  readonly without: ReadonlySet<string>;
}

/** Pairs triggers, rules and policies by name that have no copy yet. Names change on both sides, OIDs do not. */
export async function pairRelationParts(
  { source, target }: Sides,
  { copies: known, given, without }: KnownParts,
): Promise<Copies> {
  const now = new Map((await listParts(source)).map((part) => [part.id, keyOf(part)]));
  const onTarget = await listParts(target);
  const present = new Set(onTarget.map(({ id }) => id));
  const isKept = ([id, copy]: [string, string]): boolean => present.has(copy) || (!now.has(id) && id in given);
  // The copy of an ended part stays known after it was dropped: another part may have its name.
  const copies = new Map(Object.entries(known).filter(isKept));
  const used = new Set(copies.values());
  const unused = new Map(onTarget.filter(({ id }) => !used.has(id)).map((part) => [keyOf(part), part.id]));
  for (const [id, key] of [...Object.entries(given), ...now]) {
    const copy = copies.has(id) || without.has(id) ? undefined : unused.get(key);
    if (copy === undefined) continue;
    copies.set(id, copy);
    unused.delete(key);
  }
  return Object.fromEntries(copies);
}

/**
 * Parts that the source has dropped and created again as they were. The target keeps their copies.
 *
 * @param definitions the source's definitions when they were last applied to the target
 * @returns the new OIDs by the former ones; both as `catalogueKey`s
 */
export async function recreatedParts(
  { source, target }: Sides,
  { copies, given }: Pick<KnownParts, "copies" | "given">,
  definitions: Definitions,
): Promise<Readonly<Record<string, string>>> {
  const now = (await listParts(source)).map((part) => [part.id, keyOf(part)] as const);
  const present = new Set(now.map(([id]) => id));
  const former = Object.entries(given).filter(([id]) => !present.has(id));
  const dropped = new Map(former.map(([id, key]) => [key, id]));
  const again = now.filter(([id, key]) => !(id in copies) && dropped.has(key));
  if (again.length === 0) return {};
  const onTarget = new Map((await listParts(target)).map((part) => [part.id, keyOf(part)]));
  const digests = new Map((await readDefinitions(source)).map(({ id, digest }) => [id, digest]));
  const same = again.filter(([id, key]) => {
    const copy = copies[dropped.get(key)!];
    // The copy of a part whose table was dropped is kept with the table.
    const isThere = copy === undefined || onTarget.get(copy) === key;
    return isThere && definitions[key] !== undefined && digests.get(id) === definitions[key];
  });
  return Object.fromEntries(same.map(([id, key]) => [dropped.get(key)!, id]));
}

/** Parts of a table or view that the source has dropped are not included: they stay with their relation. */
export async function endedParts({ source, target }: Sides, copies: Copies): Promise<EndedPart[]> {
  const now = new Map((await listParts(source)).map((part) => [part.id, part]));
  const onTarget = new Map((await listParts(target)).map((part) => [part.id, part]));
  const relations = new Set((await readSchema(source, [tables, views], "details")).map(nameOf));
  return Object.entries(copies).flatMap(([id, copyId]) => {
    const [part, copy] = [now.get(id), onTarget.get(copyId)];
    if (!copy || !relations.has(nameOf(copy.of!))) return [];
    // A table that was renamed is renamed with its parts.
    const isRenamed = part !== undefined && nameOf(part.of!) === nameOf(copy.of!) && part.name !== copy.name;
    if (part !== undefined && !isRenamed) return [];
    return [{ id, ...(part ? { key: keyOf(part) } : {}), drop: dropStatement(copy) }];
  });
}

/** The server refuses to drop a part that a partition has from its parent. */
const listParts = async (client: Client): Promise<SchemaObject[]> =>
  (await readSchema(client, relationParts, "details")).filter(({ ofParent }) => !ofParent);

const keyOf = ({ kind, identity }: SchemaObject): string => `${kind} ${identity}`;

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string => qualify(schema, name);
