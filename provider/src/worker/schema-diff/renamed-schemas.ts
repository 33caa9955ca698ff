import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";

/** The name of each schema, by its OID. */
export type SchemaNames = Readonly<Record<string, string>>;

/** The target's names of schemas that were renamed on the source, by their present names. */
export type RenamedSchemas = ReadonlyMap<string, string>;

export async function readSchemaNames(client: Client): Promise<SchemaNames> {
  const { rows } = await client.query<{ oid: string; name: string }>(
    `SELECT n.oid::text, n.nspname AS name FROM pg_namespace n WHERE ${userSchemas("n")}`,
  );
  return Object.fromEntries(rows.map(({ oid, name }) => [oid, name]));
}

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
