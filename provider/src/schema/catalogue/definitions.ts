import type { Client } from "pg";
import { notExtensionMember, userSchemas } from "../../postgres/catalogue-filters.js";
import { serverVersion } from "../../postgres/server-version.js";
import type { Entry } from "../sql/toc-entries.js";

/**
 * Digests of the source's definitions by kind and name. They detect replaced objects, which leave no other trace. Plain
 * JSON.
 */
export type Definitions = Readonly<Record<string, string>>;

/**
 * An object whose definition may change under the same name: a function, aggregate, view, rule, trigger, policy, range
 * type, collation, operator, cast, conversion, event trigger or statistics object. Other types, sequences, schemas,
 * extensions, text search configurations and dictionaries are included only by name, so that a missing one is detected.
 */
export interface Redefined {
  /** `function public.f(integer)` */
  readonly key: string;
  /** The {@link catalogueKey} on the source. */
  readonly id: string;
  readonly digest: string;
  readonly drop: string;
}

/** All definitions by users in a source's database, without extensions. The session's search_path has to be empty. */
export async function readDefinitions(source: Client): Promise<Redefined[]> {
  const { rows } = await source.query<Redefined>(definitionsQuery(await serverVersion(source)));
  return rows;
}

export const digestsOf = (defined: readonly Redefined[]): Definitions =>
  Object.fromEntries(defined.map(({ key, digest }) => [key, digest]));

/** Objects with a changed definition. New objects are not included: they are missing on the target. */
export const redefinedSince = (before: Definitions, now: readonly Redefined[]): Redefined[] =>
  now.filter(({ key, digest }) => before[key] !== undefined && before[key] !== digest);

/** Objects that were dropped on the source and that the target still has. */
export const droppedSince = (
  before: Definitions,
  now: readonly Redefined[],
  onTarget: readonly Redefined[],
): Redefined[] => {
  const stands = new Set(now.map(({ key }) => key));
  return onTarget.filter(({ key }) => before[key] !== undefined && !stands.has(key));
};

/** Converts a dump's entry so that it replaces the existing object. */
export function replaceEntry({ drop }: Redefined, entry: Entry): Entry {
  const create = /CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|VIEW|RULE)\b/;
  if (!create.test(entry.sql)) return { ...entry, sql: `${drop};\n${entry.sql}` };
  return { ...entry, sql: entry.sql.replace(create, "CREATE OR REPLACE $1") };
}

function definitionsQuery(version: number): string {
  const isRoutine = version >= 110000 ? "p.prokind IN ('f', 'p')" : "NOT p.proisagg AND NOT p.proiswindow";
  const routine =
    version >= 110000 ? "CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END" : "'function'::text";
  const permissive = version >= 100000 ? "p.polpermissive" : "true";
  const id = (catalogue: string, oid: string): string => `'${catalogue}'::regclass::oid || '/' || ${oid} AS id`;
  const statistics = `UNION ALL
  SELECT 'statistics', n.name || '.' || quote_ident(s.stxname), ${id("pg_statistic_ext", "s.oid")}, pg_get_statisticsobjdef(s.oid)
    FROM pg_statistic_ext s JOIN users_schema n ON n.oid = s.stxnamespace WHERE ${notExtensionMember("pg_statistic_ext", "s.oid")}`;
  return `
WITH users_schema AS (
  SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
   WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration'
), relation AS (
  SELECT c.oid, c.relkind, n.name || '.' || quote_ident(c.relname) AS name, c.reloptions
    FROM pg_class c JOIN users_schema n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${notExtensionMember("pg_class", "c.oid")}
), routine AS (
  SELECT p.oid, ${routine} AS kind, n.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name
    FROM pg_proc p JOIN users_schema n ON n.oid = p.pronamespace WHERE ${isRoutine} AND ${notExtensionMember("pg_proc", "p.oid")}
     -- A range type's constructors come with it.
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
), named AS (
  SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END AS kind, n.name || '.' || quote_ident(t.typname) AS name, ${id("pg_type", "t.oid")},
         (SELECT concat_ws(' ', format_type(rngsubtype, NULL), rngcollation, rngsubopc, rngcanonical, rngsubdiff) FROM pg_range WHERE rngtypid = t.oid) AS definition
    FROM pg_type t JOIN users_schema n ON n.oid = t.typnamespace
   WHERE (t.typtype IN ('d', 'e', 'r') OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
     AND ${notExtensionMember("pg_type", "t.oid")}
  UNION ALL
  SELECT 'sequence', name, ${id("pg_class", "oid")}, '' FROM relation WHERE relkind = 'S'
  UNION ALL
  SELECT 'schema', name, ${id("pg_namespace", "oid")}, '' FROM users_schema
  UNION ALL
  SELECT 'extension', quote_ident(extname), ${id("pg_extension", "oid")}, '' FROM pg_extension
  UNION ALL
  SELECT 'collation', n.name || '.' || quote_ident(c.collname), ${id("pg_collation", "c.oid")}, ${rowOf("c", "collowner", "collversion")}
    FROM pg_collation c JOIN users_schema n ON n.oid = c.collnamespace WHERE ${notExtensionMember("pg_collation", "c.oid")}
  UNION ALL
  SELECT 'operator', o.oid::regoperator::text, ${id("pg_operator", "o.oid")}, ${rowOf("o", "oprowner")}
    FROM pg_operator o JOIN users_schema n ON n.oid = o.oprnamespace WHERE ${notExtensionMember("pg_operator", "o.oid")}
  UNION ALL
  SELECT 'cast', format('(%s AS %s)', castsource::regtype, casttarget::regtype), ${id("pg_cast", "c.oid")}, ${rowOf("c")}
    FROM pg_cast c WHERE c.oid >= 16384 AND ${notExtensionMember("pg_cast", "c.oid")}
  UNION ALL
  SELECT 'text search configuration', n.name || '.' || quote_ident(c.cfgname), ${id("pg_ts_config", "c.oid")}, ''
    FROM pg_ts_config c JOIN users_schema n ON n.oid = c.cfgnamespace WHERE ${notExtensionMember("pg_ts_config", "c.oid")}
  UNION ALL
  SELECT 'text search dictionary', n.name || '.' || quote_ident(t.dictname), ${id("pg_ts_dict", "t.oid")}, ''
    FROM pg_ts_dict t JOIN users_schema n ON n.oid = t.dictnamespace WHERE ${notExtensionMember("pg_ts_dict", "t.oid")}
  UNION ALL
  SELECT 'conversion', n.name || '.' || quote_ident(c.conname), ${id("pg_conversion", "c.oid")}, ${rowOf("c", "conowner")}
    FROM pg_conversion c JOIN users_schema n ON n.oid = c.connamespace WHERE ${notExtensionMember("pg_conversion", "c.oid")}
  UNION ALL
  SELECT 'event trigger', quote_ident(evtname), ${id("pg_event_trigger", "e.oid")}, ${rowOf("e", "evtowner")} FROM pg_event_trigger e
   WHERE ${notExtensionMember("pg_event_trigger", "e.oid")}
  ${version >= 100000 ? statistics : ""}
), defined AS (
  SELECT kind || ' ' || name AS key, ${id("pg_proc", "oid")}, pg_get_functiondef(oid) AS definition, 'DROP ' || kind || ' ' || name AS drop
    FROM routine
  UNION ALL
  SELECT 'aggregate ' || n.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')', ${id("pg_proc", "p.oid")}, a::text,
         'DROP AGGREGATE ' || n.name || '.' || quote_ident(p.proname) || '(' || coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*') || ')'
    FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN users_schema n ON n.oid = p.pronamespace
   WHERE ${notExtensionMember("pg_proc", "p.oid")}
  UNION ALL
  SELECT 'view ' || name, ${id("pg_class", "oid")}, concat_ws(' ', pg_get_viewdef(oid), reloptions::text), 'DROP VIEW ' || name
    FROM relation WHERE relkind = 'v'
  UNION ALL
  SELECT 'materialized view ' || name, ${id("pg_class", "oid")}, pg_get_viewdef(oid), 'DROP MATERIALIZED VIEW ' || name
    FROM relation WHERE relkind = 'm'
  UNION ALL
  SELECT 'rule ' || r.name || '.' || quote_ident(w.rulename), ${id("pg_rewrite", "w.oid")}, concat_ws(' ', pg_get_ruledef(w.oid), w.ev_enabled),
         'DROP RULE ' || quote_ident(w.rulename) || ' ON ' || r.name
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
  UNION ALL
  SELECT 'trigger ' || r.name || '.' || quote_ident(t.tgname), ${id("pg_trigger", "t.oid")}, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled),
         'DROP TRIGGER IF EXISTS ' || quote_ident(t.tgname) || ' ON ' || r.name
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'policy ' || r.name || '.' || quote_ident(p.polname), ${id("pg_policy", "p.oid")},
         concat_ws(' ', p.polcmd, ${permissive}, (SELECT string_agg(coalesce(a.rolname, 'public'), ',') FROM unnest(p.polroles) AS one (oid) LEFT JOIN pg_roles a USING (oid)),
                   pg_get_expr(p.polqual, p.polrelid), '/', pg_get_expr(p.polwithcheck, p.polrelid)),
         'DROP POLICY IF EXISTS ' || quote_ident(p.polname) || ' ON ' || r.name
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
  UNION ALL
  SELECT kind || ' ' || name, id, definition, 'DROP ' || upper(kind) || ' ' || name FROM named
)
SELECT key, id, md5(coalesce(definition, '')) AS digest, drop FROM defined`;
}

/** A catalogue's row as text, without columns that do not belong to the definition. */
const rowOf = (row: string, ...without: readonly string[]): string =>
  `(to_jsonb(${row}) - 'oid'${without.map((column) => ` - '${column}'`).join("")})::text`;
