import type { Client } from "pg";
import { serverVersion } from "../postgres/server-version.js";

/** By the first server that has them: catalogues of what a dump has, and no table's change tells of. */
const catalogues: readonly (readonly [since: number, names: readonly string[]])[] = [
  [
    0,
    [
      ...[
        "am",
        "amop",
        "amproc",
        "cast",
        "collation",
        "conversion",
        "language",
        "opclass",
        "operator",
        "opfamily",
        "transform",
      ],
      ...["ts_config", "ts_config_map", "ts_dict", "ts_parser", "ts_template"],
      ...["default_acl", "description", "event_trigger", "extension", "policy", "proc", "seclabel"],
      ...["foreign_data_wrapper", "foreign_server", "foreign_table", "user_mappings"],
    ],
  ],
  [100000, ["statistic_ext"]],
];

/**
 * Another text where a dump of the schema, with owners and privileges, may differ from one of before in what neither
 * tables nor their columns, indexes and constraints tell. Much cheaper than a dump.
 */
export async function readCatalogueVersion(source: Client): Promise<string> {
  const version = await serverVersion(source);
  const known = catalogues.flatMap(([since, names]) => (version >= since ? names : []));
  const sums = known.map((name) => `(SELECT sum(hashtext(one::text)::int8) FROM pg_${name} AS one)`);
  const { rows } = await source.query<{ version: string }>(
    `WITH users_schema AS (SELECT * FROM pg_namespace WHERE nspname !~ '^pg_')
     SELECT md5(concat_ws(' ', ${sums.join(", ")},
       (SELECT sum(hashtext(n::text)::int8) FROM users_schema n),
       (SELECT sum(hashtext(concat_ws(' ', t.typname, t.typowner, t.typacl))::int8) FROM pg_type t WHERE t.typnamespace IN (SELECT oid FROM users_schema)),
       (SELECT sum(hashtext(concat_ws(' ', c.relname, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity))::int8)
          FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM users_schema)),
       (SELECT sum(hashtext(concat_ws(' ', a.attrelid, a.attname, a.attacl))::int8) FROM pg_attribute a WHERE a.attacl IS NOT NULL))) AS version`,
  );
  return rows[0]!.version;
}
