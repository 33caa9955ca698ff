import type { Client } from "pg";

/**
 * A table of an extension, as SQL writes its name, or undefined. To read the table of a role that is not a superuser could
 * run that role's code.
 *
 * @param schema undefined for any schema
 */
export async function extensionTable(
  source: Client,
  name: string,
  schema: string | undefined,
): Promise<string | undefined> {
  const { rows } = await source.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
       JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
      WHERE c.relkind = 'r' AND c.relname = $1 AND n.nspname = coalesce($2, n.nspname)
        AND (o.rolsuper OR o.rolname = current_user)`,
    [name, schema],
  );
  return rows[0]?.name;
}
