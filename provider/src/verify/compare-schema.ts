import type { Client } from "pg";
import { notExtensionMember, userSchemas } from "../postgres/catalogue-filters.js";
import { serverVersion } from "../postgres/server-version.js";

/** An object of the source that is missing or different on the target. */
export interface SchemaDifference {
  /** `table`, `column`, `index`, `constraint`, `view`, `function`, … as in PostgreSQL's commands. */
  readonly kind: string;
  /** Qualified, and quoted if necessary: `public.orders.id`, `sales.total(integer)`. */
  readonly name: string;
  /** For an object that differs: its form on the source, and on the target. */
  readonly source?: string;
  readonly target?: string;
}

export interface SchemaComparison {
  /** {@link catalogueKey}s of objects to ignore: `1259/16384`. */
  readonly without?: ReadonlySet<string>;
}

interface SchemaObject {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  /** The part of the definition that has to be equal; empty if only the name counts. */
  readonly form: string;
}

/**
 * Objects of the source's schema that the target lacks or has in another form, by kind and name. The form includes
 * types of columns, and validity of indexes and constraints. Definitions are not compared, because versions print them
 * differently. Objects that exist only on the target are ignored. Sorted by kind and name; each server gets one query.
 */
export async function compareSchema(
  source: Client,
  target: Client,
  { without = new Set() }: SchemaComparison = {},
): Promise<SchemaDifference[]> {
  const [all, there] = await Promise.all([listObjects(source), listObjects(target)]);
  const wanted = all.filter(({ id, kind, form }) => !without.has(id) && !isInvalidIndex(kind, form));
  const forms = new Map(there.map(({ kind, name, form }) => [`${kind} ${name}`, form]));
  const differences: SchemaDifference[] = [];
  for (const { kind, name, form } of wanted) {
    const targetForm = forms.get(`${kind} ${name}`);
    if (targetForm === undefined) differences.push({ kind, name });
    else if (targetForm !== form) differences.push({ kind, name, source: form, target: targetForm });
  }
  return differences;
}

/** An index left by a failed CREATE INDEX CONCURRENTLY. Dumps do not contain it. */
const isInvalidIndex = (kind: string, form: string): boolean => kind === "index" && form.startsWith("invalid");

async function listObjects(client: Client): Promise<SchemaObject[]> {
  const { rows } = await client.query<SchemaObject>(objectsQuery(await serverVersion(client)));
  return rows;
}

function objectsQuery(version: number): string {
  const isInternalTrigger = "t.tgisinternal";
  const id = (catalogue: string, oid: string): string => `'${catalogue}'::regclass::oid || '/' || ${oid} AS id`;
  // Triggers of partitions are created with their parents' from 11 on, and identified as such from 13 on.
  const ofParent = version >= 130000 ? "t.tgparentid <> 0" : "false";
  // A partition's part of its parent's constraint is created with it, under a name that the server chooses.
  const ofParentConstraint = version >= 110000 ? "k.conparentid <> 0" : "false";
  const statistics = `SELECT ${id("pg_statistic_ext", "s.oid")}, 'statistics', n.name || '.' || quote_ident(s.stxname), ''
  FROM pg_statistic_ext s JOIN users_schema n ON n.oid = s.stxnamespace JOIN relation r ON r.oid = s.stxrelid
 WHERE ${notExtensionMember("pg_statistic_ext", "s.oid")}
UNION ALL
`;
  const routine =
    version >= 110000
      ? "CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END"
      : "CASE WHEN p.proisagg THEN 'aggregate' ELSE 'function' END";
  return `
WITH users_schema AS (
  SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
   WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration'
), relation AS (
  SELECT c.oid, c.relkind, n.name || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN users_schema n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${notExtensionMember("pg_class", "c.oid")}
)
SELECT ${id("pg_namespace", "n.oid")}, 'schema' AS kind, n.name, '' AS form FROM users_schema n WHERE ${notExtensionMember("pg_namespace", "n.oid")}
UNION ALL
SELECT ${id("pg_extension", "e.oid")}, 'extension', quote_ident(e.extname), '' FROM pg_extension e
UNION ALL
SELECT ${id("pg_class", "r.oid")}, CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' END,
       r.name, ''
  FROM relation r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT ${id("pg_class", "r.oid")}, 'column', r.name || '.' || quote_ident(a.attname),
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
 WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT ${id("pg_class", "i.oid")}, 'index', i.name, CASE WHEN x.indisvalid THEN 'valid' ELSE 'invalid' END
                        || CASE WHEN x.indisunique THEN ', unique' ELSE '' END
  FROM relation i JOIN pg_index x ON x.indexrelid = i.oid JOIN relation r ON r.oid = x.indrelid
UNION ALL
SELECT ${id("pg_constraint", "k.oid")}, 'constraint', r.name || '.' || quote_ident(k.conname), CASE WHEN k.convalidated THEN 'valid' ELSE 'not valid' END
  FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid
 WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT ${ofParentConstraint}
UNION ALL
SELECT ${id("pg_class", "r.oid")}, 'partition', r.name || ' of ' || p.name, ''
  FROM relation r JOIN pg_inherits h ON h.inhrelid = r.oid JOIN relation p ON p.oid = h.inhparent
 WHERE r.relkind IN ('r', 'p', 'f') AND p.relkind = 'p'
UNION ALL
SELECT ${id("pg_trigger", "t.oid")}, 'trigger', r.name || '.' || quote_ident(t.tgname), CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled' END
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
 WHERE NOT ${isInternalTrigger} AND NOT ${ofParent}
UNION ALL
SELECT ${id("pg_rewrite", "w.oid")}, 'rule', r.name || '.' || quote_ident(w.rulename), ''
  FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
 WHERE w.rulename <> '_RETURN'
UNION ALL
${version >= 100000 ? statistics : ""}SELECT ${id("pg_policy", "p.oid")}, 'policy', r.name || '.' || quote_ident(p.polname), '' FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT ${id("pg_proc", "p.oid")}, ${routine}, n.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
       ''
  FROM pg_proc p JOIN users_schema n ON n.oid = p.pronamespace
 WHERE ${notExtensionMember("pg_proc", "p.oid")}
   -- A range type's constructors and a multirange's come with the type, in some versions only.
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT ${id("pg_type", "t.oid")}, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, n.name || '.' || quote_ident(t.typname),
       coalesce((SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder)
                   FROM pg_enum v WHERE v.enumtypid = t.oid),
                (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                   ORDER BY a.attnum)
                   FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
                CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END, '')
  FROM pg_type t JOIN users_schema n ON n.oid = t.typnamespace
 WHERE ${notExtensionMember("pg_type", "t.oid")}
   AND (t.typtype IN ('b', 'd', 'e', 'r') AND (t.typelem = 0 OR t.typcategory <> 'A')
        OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
 ORDER BY 2, 3`;
}
