import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { type Filter, patternExpression } from "../../inputs/filter.js";
import { serverVersion } from "../../postgres/server-version.js";
import { type Entry, catalogueKey } from "../sql/toc-entries.js";
import { relationKey, type RelationName } from "../../postgres/identifiers.js";
import { relationAt } from "../sql/statements.js";
import { follows, tokenize } from "../sql/tokenize.js";

export interface Filters {
  readonly include: Filter;
  readonly exclude: Filter;
}

/** The result of applying a filter to a database. */
export interface Selection {
  /** {@link catalogueKey}s of all excluded objects: those that match the filter, and those that depend on them. */
  readonly cut: ReadonlySet<string>;
  /** Excluded relations including indexes, by {@link relationKey}. */
  readonly cutRelations: ReadonlySet<string>;
  /** The excluded sequences. */
  readonly cutSequences: ReadonlySet<string>;
  /** Objects that are excluded only because of their dependencies. */
  readonly lost: readonly LostObject[];
  /** Excluded schemas, extensions and relations without indexes, and {@link lost} objects. */
  readonly left: readonly LeftObject[];
}

export interface LeftObject {
  /** In the server's wording: `table public.audit`. */
  readonly what: string;
  /** Whether the filters exclude it, and not only its dependencies. */
  readonly isNamed: boolean;
}

export interface LostObject {
  /** In the server's wording: `view public.totals`. */
  readonly what: string;
  /** Required by the rest: a table, or a default or check inside one. */
  readonly isEssential: boolean;
}

/** The selection that excludes nothing. */
export const everything: Selection = {
  cut: new Set(),
  cutRelations: new Set(),
  cutSequences: new Set(),
  lost: [],
  left: [],
};

/** The OID of pg_class, the same on every server. */
const relations = 1259;

/** Whether the filters are empty, so that no query is needed. */
export const selectsAll = ({ include, exclude }: Filters): boolean =>
  [include, exclude].every((filter) => Object.keys(filter).length === 0);

/**
 * Finds all objects that depend on excluded objects, from the source's pg_depend.
 *
 * @param oids of relations to exclude besides those of the filters
 */
export async function readSelection(
  source: Client,
  filters: Filters,
  oids: readonly number[] = [],
): Promise<Selection> {
  if (selectsAll(filters) && oids.length === 0) return everything;
  const { include, exclude } = filters;
  const { rows } = await source.query<{
    key: string;
    lost: boolean;
    named: boolean;
    isEssential: boolean;
    what: string | null;
    kind: string | null;
    relation: RelationName | null;
  }>(selectionQuery(await serverVersion(source)), [...parameters(include, exclude), oids]);
  return {
    cut: new Set(rows.map(({ key }) => key)),
    cutRelations: new Set(rows.flatMap(({ relation }) => (relation ? [relationKey(relation)] : []))),
    cutSequences: new Set(
      rows.flatMap(({ kind, relation }) => (relation && kind === "S" ? [relationKey(relation)] : [])),
    ),
    lost: rows.filter(({ lost }) => lost).map(({ what, isEssential }) => ({ what: what ?? "an object", isEssential })),
    left: rows.flatMap(({ what, named }) => (what === null ? [] : [{ what, isNamed: named }])),
  };
}

export const isCutRelation = ({ cut }: Pick<Selection, "cut">, { oid }: { readonly oid: number }): boolean =>
  cut.has(catalogueKey({ classOid: relations, oid }));

/** Excluded tables that this role may not read. Users exclude tables for this reason. */
export async function hiddenTables(source: Client, { cut }: Selection): Promise<RelationName[]> {
  if (cut.size === 0) return [];
  return (await unreadableTables(source)).filter(({ oid }) => cut.has(catalogueKey({ classOid: relations, oid })));
}

/** Tables that this role may not read, and that pg_dump therefore cannot lock. */
export async function unreadableTables(session: Client): Promise<(RelationName & { readonly oid: number })[]> {
  const { rows } = await session.query<RelationName & { readonly oid: number }>(
    `SELECT n.nspname AS schema, c.relname AS name, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
        AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))`,
  );
  return rows;
}

/** Removes the entries of excluded objects, and all entries about them: comments, privileges, attached partitions. */
export function selectEntries(entries: readonly Entry[], { cut, cutRelations }: Selection): Entry[] {
  if (cut.size === 0) return [...entries];
  const excluded = new Set<number>();
  return entries.filter((entry) => {
    const isGone =
      cut.has(catalogueKey(entry)) ||
      entry.dependencies.some((id) => excluded.has(id)) ||
      attachedRelations(entry).some((relation) => cutRelations.has(relationKey(relation)));
    if (isGone) excluded.add(entry.id);
    return !isGone;
  });
}

/** Parent and partition in `ALTER ... x.parent ATTACH PARTITION x.child`, which has no OIDs in the dump. */
function attachedRelations({ type, sql }: Entry): RelationName[] {
  if (type !== "TABLE ATTACH" && type !== "INDEX ATTACH") return [];
  const tokens = tokenize(sql, 12);
  const attach = tokens.findIndex((_, index) => follows(tokens, index, "ATTACH", "PARTITION"));
  return [relationAt({ tokens }, attach - 3), relationAt({ tokens }, attach + 2)].flatMap((one) => one ?? []);
}

function parameters(include: Filter, exclude: Filter): string[][] {
  const kinds = ["schemas", "tables", "extensions"] as const;
  return kinds.flatMap((kind) => [
    (include[kind] ?? ["*"]).map(patternExpression),
    (exclude[kind] ?? []).map(patternExpression),
  ]);
}

const isNamed = (name: string, first: number): string =>
  `(NOT ${name} ~ ANY ($${first}::text[]) OR ${name} ~ ANY ($${first + 1}::text[]))`;

/** $1 to $6: patterns for schemas, tables and extensions, each to include and to exclude. $7: OIDs of relations. */
function selectionQuery(version: number): string {
  const isPartition = version >= 100000 ? "c.relispartition" : "false";
  return `
WITH RECURSIVE lineage (oid, ancestor) AS (
  SELECT c.oid, c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  UNION
  SELECT l.oid, h.inhparent FROM lineage l JOIN pg_class c ON c.oid = l.ancestor AND ${isPartition}
    JOIN pg_inherits h ON h.inhrelid = c.oid
), named_schema AS (
  SELECT n.oid FROM pg_namespace n
   WHERE ${userSchemas("n")} AND ${isNamed("n.nspname", 1)}
), named_relation AS (
  SELECT l.oid FROM lineage l JOIN pg_class c ON c.oid = l.ancestor JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = l.oid AND d.deptype = 'e')
   GROUP BY l.oid
  HAVING NOT bool_or(c.relname ~ ANY ($3::text[]) OR n.nspname || '.' || c.relname ~ ANY ($3::text[]))
      OR bool_or(c.relname ~ ANY ($4::text[]) OR n.nspname || '.' || c.relname ~ ANY ($4::text[]))
), named (classid, objid) AS (
  SELECT 'pg_namespace'::regclass::oid, oid FROM named_schema
  UNION ALL SELECT 'pg_class'::regclass, oid FROM named_relation
  UNION ALL SELECT 'pg_class'::regclass, unnest($7::oid[])
  UNION ALL SELECT 'pg_extension'::regclass, e.oid FROM pg_extension e
             WHERE e.extname <> 'plpgsql' AND ${isNamed("e.extname", 5)}
), edge (classid, objid, to_classid, to_objid) AS (
  SELECT refclassid, refobjid, classid, objid FROM pg_depend WHERE deptype NOT IN ('p', 'x')
  UNION ALL
  -- An object depends on its internal parts: a view on its rule, a foreign key on its triggers.
  SELECT classid, objid, refclassid, refobjid FROM pg_depend WHERE deptype = 'i'
), cut (classid, objid) AS (
  SELECT classid, objid FROM named
  UNION
  SELECT e.to_classid, e.to_objid FROM cut JOIN edge e ON e.classid = cut.classid AND e.objid = cut.objid
), part AS (
  -- The owner of an excluded part: the table of an index, of a constraint, of a default.
  SELECT cut.classid, cut.objid,
         coalesce(i.indrelid, k.conrelid, f.adrelid, t.tgrelid, p.polrelid, w.ev_class) AS relation,
         coalesce(c.relnamespace, r.pronamespace, y.typnamespace) AS schema,
         c.relkind, k.contype, f.adrelid IS NOT NULL AS is_default,
         coalesce(t.tgisinternal, false) OR w.rulename = '_RETURN' OR y.typrelid <> 0 OR y.typcategory = 'A'
           OR k.contype = 'n' OR n.nspname ~ '^pg_' AS is_inner,
         n.nspname, c.relname, (cut.classid, cut.objid) IN (SELECT classid, objid FROM named) AS is_named
    FROM cut
    LEFT JOIN pg_class c ON cut.classid = 'pg_class'::regclass AND c.oid = cut.objid
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_constraint k ON cut.classid = 'pg_constraint'::regclass AND k.oid = cut.objid
    LEFT JOIN pg_attrdef f ON cut.classid = 'pg_attrdef'::regclass AND f.oid = cut.objid
    LEFT JOIN pg_trigger t ON cut.classid = 'pg_trigger'::regclass AND t.oid = cut.objid
    LEFT JOIN pg_policy p ON cut.classid = 'pg_policy'::regclass AND p.oid = cut.objid
    LEFT JOIN pg_rewrite w ON cut.classid = 'pg_rewrite'::regclass AND w.oid = cut.objid
    LEFT JOIN pg_proc r ON cut.classid = 'pg_proc'::regclass AND r.oid = cut.objid
    LEFT JOIN pg_type y ON cut.classid = 'pg_type'::regclass AND y.oid = cut.objid
    LEFT JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, r.pronamespace, y.typnamespace)
), judged AS (
  SELECT part.*,
         NOT coalesce(is_inner, false)
         AND NOT is_named
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = part.classid AND d.objid = part.objid AND d.deptype = 'e')
         AND CASE WHEN coalesce(relation, 0) <> 0
                  THEN ('pg_class'::regclass::oid, relation) NOT IN (SELECT classid, objid FROM cut)
                  WHEN relkind IN ('r', 'p', 'v', 'm', 'f') OR (relkind IS NULL AND schema IS NOT NULL)
                  THEN schema NOT IN (SELECT oid FROM named_schema)
                  ELSE false END AS lost
    FROM part
)
SELECT classid || '/' || objid AS key, coalesce(lost, false) AS lost,
       coalesce(relkind IN ('r', 'p', 'f') OR is_default OR contype = 'c', false) AS "isEssential",
       is_named AS named,
       CASE WHEN lost OR relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
              OR classid IN ('pg_namespace'::regclass, 'pg_extension'::regclass)
            THEN pg_describe_object(classid, objid, 0) END AS what,
       relkind AS kind, CASE WHEN relkind IS NOT NULL THEN json_build_object('schema', nspname, 'name', relname) END AS relation
  FROM judged`;
}
