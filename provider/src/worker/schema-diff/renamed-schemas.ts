import type { Client } from "pg";
import { schemas } from "../../schema/catalogue/kinds/schemas.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";

/** The name of each schema, by its OID. */
export type SchemaNames = Readonly<Record<string, string>>;

/** The target's names of schemas that were renamed on the source, by their present names. */
export type RenamedSchemas = ReadonlyMap<string, string>;

export const readSchemaNames = async (client: Client): Promise<SchemaNames> =>
  Object.fromEntries((await readSchema(client, [schemas], "details")).map(({ oid, name }) => [oid, name]));

/** By the OID of a schema on the source: the one of its copy. */
export type FollowedSchemas = Readonly<Record<string, string>>;

/**
 * @param before the source's schema names when they were last applied to the target; empty if not recorded
 * @param known the copies that are known; the source may rename a schema again before its first new name is recorded
 */
export async function readRenamedSchemas(
  source: Client,
  target: Client,
  { before = {}, known }: { readonly before?: SchemaNames | undefined; readonly known: FollowedSchemas },
): Promise<{ readonly renamed: RenamedSchemas; readonly followed: FollowedSchemas }> {
  const now = Object.entries(await readSchemaNames(source));
  const onTarget = await readSchemaNames(target);
  const copies = new Map(Object.entries(onTarget).map(([oid, name]) => [name, oid]));
  const followed = Object.fromEntries(
    now.flatMap(([oid, name]) => {
      const paired = known[oid];
      const copy = paired !== undefined && paired in onTarget ? paired : copies.get(before[oid] ?? name);
      return copy === undefined ? [] : [[oid, copy]];
    }),
  );
  const renamed = now.flatMap(([oid, name]) => {
    const former = onTarget[followed[oid] ?? ""];
    return former === undefined || former === name || copies.has(name) ? [] : [[name, former] as const];
  });
  return { renamed: new Map(renamed), followed };
}
