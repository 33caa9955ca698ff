import type { Client } from "pg";

/** By a schema's object identifier, what it is called. */
export type SchemaNames = Readonly<Record<string, string>>;

/** Schemas of the source that are called otherwise on the target: by their names now, those before. */
export type RenamedSchemas = ReadonlyMap<string, string>;

export async function readSchemaNames(client: Client): Promise<SchemaNames> {
  const { rows } = await client.query<{ oid: string; name: string }>(
    "SELECT oid::text, nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
  );
  return Object.fromEntries(rows.map(({ oid, name }) => [oid, name]));
}

/** @param before what the source's schemas were called when the target's were made; none where nobody has noted it */
export async function readRenamedSchemas(
  source: Client,
  target: Client,
  before: SchemaNames = {},
): Promise<RenamedSchemas> {
  const now = await readSchemaNames(source);
  const here = new Set(Object.values(await readSchemaNames(target)));
  return new Map(
    Object.entries(now).flatMap(([oid, name]) => {
      const former = before[oid];
      return former !== undefined && former !== name && here.has(former) && !here.has(name) ? [[name, former]] : [];
    }),
  );
}
