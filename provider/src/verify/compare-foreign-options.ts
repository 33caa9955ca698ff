import type { Client } from "pg";
import { notExtensionMember } from "../postgres/catalogue-filters.js";

/** A foreign object of both servers, and the names of its different options. Never their values. */
export interface ForeignDifference {
  /** In SQL: `SERVER far`, `USER MAPPING FOR PUBLIC SERVER far`. */
  readonly object: string;
  readonly options: readonly string[];
}

interface Foreign {
  readonly object: string;
  /** `name=value`; null where the role may not read them. */
  readonly options: readonly string[] | null;
}

/**
 * Different options of foreign-data wrappers, servers, user mappings and foreign tables. Options that a role may not
 * read, such as those of another user's mapping, are ignored, and so are objects on only one server.
 */
export async function compareForeignOptions(source: Client, target: Client): Promise<ForeignDifference[]> {
  const targetOptions = new Map((await listForeign(target)).map((one) => [one.object, one.options]));
  return (await listForeign(source)).flatMap(({ object, options }): ForeignDifference[] => {
    const present = targetOptions.get(object);
    if (!options || !present) return [];
    const names = [...without(options, present), ...without(present, options)].map((one) => one.split("=", 1)[0]!);
    return names.length === 0 ? [] : [{ object, options: [...new Set(names)].sort() }];
  });
}

const without = (some: readonly string[], others: readonly string[]): string[] =>
  some.filter((one) => !others.includes(one));

async function listForeign(client: Client): Promise<Foreign[]> {
  const { rows } = await client.query<Foreign>(`
    SELECT format('FOREIGN DATA WRAPPER %I', fdwname) AS object, coalesce(fdwoptions, '{}') AS options
      FROM pg_foreign_data_wrapper w WHERE ${notExtensionMember("pg_foreign_data_wrapper", "w.oid")}
    UNION ALL
    SELECT format('SERVER %I', srvname), coalesce(srvoptions, '{}')
      FROM pg_foreign_server s WHERE ${notExtensionMember("pg_foreign_server", "s.oid")}
    UNION ALL
    -- Null without the privilege to read them, and without options.
    SELECT format('USER MAPPING FOR %s SERVER %I', CASE umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(usename) END, srvname), umoptions
      FROM pg_user_mappings
    UNION ALL
    SELECT format('FOREIGN TABLE %I.%I', n.nspname, c.relname), coalesce(f.ftoptions, '{}')
           || ARRAY(SELECT format('%I.%s', a.attname, one) FROM pg_attribute a, unnest(a.attfdwoptions) AS one
                     WHERE a.attrelid = c.oid AND NOT a.attisdropped)
      FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${notExtensionMember("pg_class", "c.oid")}`);
  return rows;
}
