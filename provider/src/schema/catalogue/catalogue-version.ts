import type { Client } from "pg";
import { isUsersPublication } from "../../cdc/source/publication.js";
import { serverVersion } from "../../postgres/server-version.js";

/** Catalogues that affect a dump, except those of tables, by the first version that has them. */
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
  [100000, ["statistic_ext", "publication", "publication_rel"]],
  [150000, ["publication_namespace"]],
];

/**
 * Objects created by users. For built-in objects, with OIDs below FirstNormalObjectId in PostgreSQL's transam.h, a dump
 * contains only privileges.
 */
const own = "oid >= 16384";
const otherwise: Readonly<Record<string, string>> = {
  // Publications of migrations change during a migration.
  publication: isUsersPublication,
  publication_rel: `prpubid IN (SELECT oid FROM pg_publication WHERE ${isUsersPublication})`,
  // Functions in temporary schemas change with applications' sessions.
  proc: `(${own} OR proacl IS NOT NULL) AND pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_temp_')`,
  language: `${own} OR lanacl IS NOT NULL`,
  description: "objoid >= 16384 OR objoid IN (SELECT id FROM users_schema)",
  ts_config_map: "mapcfg >= 16384",
  seclabel: "true",
  foreign_table: "true",
  user_mappings: "true",
};

/** SQL: a number that changes if a trigger or rule is created, dropped, renamed, enabled or disabled. Omits temporary tables. */
export const sumOfTriggersAndRules = `
       (SELECT sum(hashtext(concat_ws(' ', part.oid, name, enabled))::int8)
          FROM (SELECT oid, tgrelid AS relation, tgname AS name, tgenabled AS enabled FROM pg_trigger WHERE NOT tgisinternal
                UNION ALL SELECT oid, ev_class, rulename, ev_enabled FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384) AS part
          JOIN pg_class c ON c.oid = relation AND c.relpersistence <> 't')`;

/**
 * A text that changes when the database's schema, owners or privileges change in another way than tables, columns,
 * indexes and constraints. Much cheaper than a dump.
 */
export async function readCatalogueVersion(source: Client): Promise<string> {
  const version = await serverVersion(source);
  const known = catalogues.flatMap(([since, names]) => (version >= since ? names : []));
  // Before 12 these rows include the statistics of ANALYZE.
  const form = (name: string): string =>
    name === "statistic_ext" && version < 120000
      ? "concat_ws(' ', oid, stxname, stxnamespace, stxowner, stxkeys, stxkind)"
      : "one::text";
  const sums = known.map(
    (name) => `(SELECT sum(hashtext(${form(name)})::int8) FROM pg_${name} AS one WHERE ${otherwise[name] ?? own})`,
  );
  const { rows } = await source.query<{ version: string }>(
    `WITH users_schema AS (SELECT oid AS id, n::text AS form FROM pg_namespace n WHERE nspname !~ '^pg_')
     SELECT md5(concat_ws(' ', ${sums.join(", ")},
       (SELECT sum(hashtext(form)::int8) FROM users_schema),
       ${sumOfTriggersAndRules},
       (SELECT sum(hashtext(concat_ws(' ', t.typname, t.typowner, t.typacl))::int8) FROM pg_type t WHERE t.typnamespace IN (SELECT id FROM users_schema)),
       (SELECT sum(hashtext(concat_ws(' ', c.relname, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloftype, c.relpersistence))::int8)
          FROM pg_class c WHERE c.relnamespace IN (SELECT id FROM users_schema) OR c.relacl IS NOT NULL AND c.relpersistence <> 't'),
       (SELECT sum(hashtext(concat_ws(' ', d.objid, d.refobjid, d.refobjsubid))::int8)
          FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
         WHERE c.relkind = 'S' AND c.relnamespace IN (SELECT id FROM users_schema)),
       (SELECT sum(hashtext(concat_ws(' ', k.oid, k.condeferrable, k.condeferred))::int8)
          FROM pg_constraint k WHERE k.connamespace IN (SELECT id FROM users_schema)),
       (SELECT sum(hashtext(concat_ws(' ', a.attrelid, a.attname, a.attacl, a.attfdwoptions))::int8) FROM pg_attribute a WHERE a.attacl IS NOT NULL OR a.attfdwoptions IS NOT NULL))) AS version`,
  );
  return rows[0]!.version;
}
