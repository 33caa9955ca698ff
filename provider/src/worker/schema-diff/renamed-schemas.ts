import type { Client } from "pg";
import { schemas } from "../../schema/catalogue/kinds/schemas.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";

/** The name of each schema, by its OID. */
export type SchemaNames = Readonly<Record<string, string>>;

/** No schema has this name. */
export const noSchema = "";

/** The target's names of schemas that were renamed on the source, by their present names. */
export type RenamedSchemas = ReadonlyMap<string, string>;

export const readSchemaNames = async (client: Client): Promise<SchemaNames> =>
  Object.fromEntries((await readSchema(client, [schemas], "details")).map(({ oid, name }) => [oid, name]));

/** By the OID of a schema on the source: the one of its copy. */
export type FollowedSchemas = Readonly<Record<string, string>>;

/**
 * Only OIDs show which schema was renamed: the source may have created another one under its former name. Such a new schema is
 * awaited: the target can have it when the renamed one has its new name there.
 *
 * @param before the source's schema names when they were last applied to the target; empty if not recorded
 * @param known the copies that are known; the source may rename a schema again before its first new name is recorded
 * @returns `renamed` in an order in which no name is used twice, and with {@link noSchema} for the awaited schemas
 */
export async function readRenamedSchemas(
  source: Client,
  target: Client,
  { before = {}, known }: { readonly before?: SchemaNames | undefined; readonly known: FollowedSchemas },
): Promise<{ readonly renamed: RenamedSchemas; readonly followed: FollowedSchemas }> {
  const now = Object.entries(await readSchemaNames(source));
  const onTarget = await readSchemaNames(target);
  const copies = new Map(Object.entries(onTarget).map(([oid, name]) => [name, oid]));
  const used = new Set(now.map(([oid]) => known[oid]));
  const pairs = now.map(([oid, name]) => {
    const [paired, former] = [known[oid] ?? "", copies.get(before[oid] ?? noSchema)];
    return { oid, name, copy: paired in onTarget ? paired : used.has(former) ? undefined : former };
  });
  const renamed = new Map<string, string>();
  const left = new Set<string>();
  for (let size = -1; size < renamed.size;) {
    size = renamed.size;
    for (const { name, copy } of pairs) {
      const former = onTarget[copy ?? ""];
      if (former === undefined || former === name || (copies.has(name) && !left.has(name))) continue;
      renamed.set(name, former);
      left.add(former);
    }
  }
  for (const { name } of pairs) if (left.has(name) && !renamed.has(name)) renamed.set(name, noSchema);
  // If the new name belongs to another schema, the target has the tables there. That schema is then the copy.
  const followed = pairs.flatMap(({ oid, name, copy }) => {
    const present = renamed.has(name) ? copy : copies.get(name);
    return present === undefined ? [] : [[oid, present] as const];
  });
  return { renamed, followed: Object.fromEntries(followed) };
}
