import type { Client } from "pg";
import { schemas } from "../../schema/catalogue/kinds/schemas.js";
import { readSchema } from "../../schema/catalogue/read-schema.js";

/** The name of each schema, by its OID. */
export type SchemaNames = Readonly<Record<string, string>>;

/** The target's names of schemas that were renamed on the source, by their present names. */
export type RenamedSchemas = ReadonlyMap<string, string>;

export const readSchemaNames = async (client: Client): Promise<SchemaNames> =>
  Object.fromEntries((await readSchema(client, [schemas], "details")).map(({ oid, name }) => [oid, name]));

/** @param before the source's schema names when they were last applied to the target; empty if not recorded */
export async function readRenamedSchemas(
  source: Client,
  target: Client,
  before: SchemaNames = {},
): Promise<RenamedSchemas> {
  const now = await readSchemaNames(source);
  const onTarget = new Set(Object.values(await readSchemaNames(target)));
  return new Map(
    Object.entries(now).flatMap(([oid, name]) => {
      const former = before[oid];
      return former !== undefined && former !== name && onTarget.has(former) && !onTarget.has(name)
        ? [[name, former]]
        : [];
    }),
  );
}
