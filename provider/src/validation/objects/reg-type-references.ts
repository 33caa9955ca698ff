import { userSchemas } from "../../postgres/catalogue-filters.js";
import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../../postgres/identifiers.js";
import { isMigratedRole } from "../../schema/database/roles.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule, ValidationContext } from "../context.js";
import { enumerate } from "../../units/enumerate.js";
import { Trials } from "./trial.js";

/** A column of type regclass, regrole, regproc, ..., or of a type that contains such values. */
interface NamingColumn {
  /** The {@link catalogueKey} of its table. */
  readonly key: string;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly type: NamingType;
  /** The path from the column to the value: `[]` for elements of an array, `.field` for fields of a composite type. */
  readonly path: readonly string[];
}

/** A name in a row, and the source's object of that name. */
interface NamedObject {
  readonly name: string;
  readonly key: string;
  /** A role's name without quotes. */
  readonly role: string | null;
  /** A built-in object, which another version may lack. */
  readonly isSystems: boolean;
  /** Missing when the row is copied: an index, which is built later; a TOAST table; a temporary table. */
  readonly isAbsent: boolean;
  /** Whether the name identifies this object: the name of an overloaded function is ambiguous. */
  readonly isFound: boolean;
}

/** The catalogue of each type. */
const catalogues = {
  // Contains the names of grantee and grantor.
  aclitem: "pg_authid",
  regclass: "pg_class",
  regcollation: "pg_collation",
  regconfig: "pg_ts_config",
  regdictionary: "pg_ts_dict",
  regnamespace: "pg_namespace",
  regoper: "pg_operator",
  regoperator: "pg_operator",
  regproc: "pg_proc",
  regprocedure: "pg_proc",
  regrole: "pg_authid",
  regtype: "pg_type",
} as const;

type NamingType = keyof typeof catalogues;

const maxDistinct = 1000;
const maxNamed = 20;

/**
 * COPY writes a reg* value as a name, which the target looks up when it reads the row. If the object is missing, or
 * created later, the whole table's copy fails. The OID of a dropped object is written as a number, which is accepted.
 */
export const regTypeReferences: Rule = async (context) => {
  const { sources, spec } = context;
  if (spec.schemaOnly) return [];
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const columns = (await namingColumns(source)).filter(({ key }) => !cut.has(key));
    const trials = new Trials(source);
    const refused: string[] = [];
    const unknown: string[] = [];
    for (const column of columns) {
      const title = `${qualify(column.schema, column.table)}.${quoteIdentifier(column.column)}`;
      const trial = await trials.runOn({ schema: column.schema, name: column.table }, namesQuery(column));
      if (trial.ended !== "rows") unknown.push(title);
      else {
        const missing = await missingNames(context, column.type, trial.rows as readonly NamedObject[], cut);
        if (missing.length > 0) refused.push(`${title} (${column.type} ${enumerate(missing)})`);
      }
    }
    const common = { database, type: "SchemaValidation", objectType: "Database", code: "PGM-421" } as const;
    if (refused.length > 0)
      findings.push({
        ...common,
        state: "Failed",
        object: refused[0],
        message: `rows contain names of objects that the target lacks when it reads them, such as indexes, which are built later: ${enumerate(refused, maxNamed)}`,
        remedy:
          "on the source, make the column text (ALTER TABLE ... ALTER ... TYPE text) or correct these rows; roles: create them on the target, or set migrateRoles to true",
      });
    if (unknown.length > 0)
      findings.push({
        ...common,
        state: "Warning",
        object: unknown[0],
        message: `these columns were not checked for names of objects that the target lacks, because the check would take too long or run functions of other roles: ${enumerate(unknown, maxNamed)}`,
        remedy:
          "SELECT DISTINCT the column on the source: the copy ends at names of indexes, and of roles that the target lacks",
      });
  }
  return findings;
};

/** Finds reg* types inside domains, arrays and composite types. */
async function namingColumns(source: Client): Promise<NamingColumn[]> {
  const { rows } = await source.query<NamingColumn>(
    `WITH RECURSIVE way (relation, attribute, type, path) AS (
       SELECT a.attrelid, a.attname, a.atttypid, ARRAY[]::text[] FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relpersistence <> 't'
         JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
          AND (t.oid >= 16384 AND t.typtype IN ('b', 'c', 'd') OR t.typname ~ '^_?(reg|aclitem)')
       UNION ALL
       SELECT w.relation, w.attribute, next.type, w.path || next.step
         FROM way w JOIN pg_type t ON t.oid = w.type
        CROSS JOIN LATERAL (
          SELECT t.typbasetype, ARRAY[]::text[] WHERE t.typtype = 'd'
          UNION ALL SELECT t.typelem, ARRAY['[]'] WHERE t.typtype = 'b' AND t.typcategory = 'A'
          UNION ALL SELECT f.atttypid, ARRAY['.' || f.attname::text COLLATE "default"] FROM pg_attribute f
                     WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
        ) AS next (type, step)
        WHERE cardinality(w.path) < 4
     )
     SELECT 'pg_class'::regclass::oid || '/' || c.oid AS key, n.nspname AS schema, c.relname AS table,
            w.attribute AS column, t.typname AS type, w.path
       FROM way w JOIN pg_type t ON t.oid = w.type AND t.typname = ANY ($1) AND t.typnamespace = 'pg_catalog'::regnamespace
       JOIN pg_class c ON c.oid = w.relation JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE ${userSchemas("n")} AND n.nspname <> 'pgmigration' ORDER BY 2, 3, 4, 6`,
    [Object.keys(catalogues)],
  );
  return rows;
}

/** A query for {@link Trials.runOn}. */
function namesQuery({ schema, table, column, type: columnType, path }: NamingColumn): string {
  const type = columnType === "aclitem" ? "regrole" : columnType;
  const found = path.reduce(
    (inner, step) =>
      `SELECT ${step === "[]" ? "pg_catalog.unnest(v)" : `(v).${quoteIdentifier(step.slice(1))}`} AS v FROM (${inner}) AS value`,
    `SELECT ${quoteIdentifier(column)} AS v FROM ONLY ${qualify(schema, table)}`,
  );
  const values =
    columnType === "aclitem"
      ? `SELECT named.role::regrole AS v FROM (${found}) AS item, pg_catalog.aclexplode(ARRAY[v]) AS a,
                LATERAL (VALUES (a.grantor), (a.grantee)) AS named (role)`
      : found;
  const role = type === "regrole" ? "(SELECT rolname FROM pg_roles r WHERE r.oid = v::oid)" : "NULL";
  const isAbsent = `EXISTS (SELECT FROM pg_class c WHERE c.oid = v::oid
     AND (c.relkind = 't' OR c.oid >= 16384::oid AND (c.relkind IN ('i', 'I') OR c.relpersistence = 't')))`;
  // Only the name identifies these types' objects, or they have no lookup function.
  const isFound = /^reg(class|proc|oper)$/.test(type)
    ? `pg_catalog.to_${type}(v::text)::oid IS NOT DISTINCT FROM v::oid`
    : "true";
  return `SELECT v::text AS name, pg_catalog.concat('${catalogues[type]}'::regclass::oid, '/', v::oid) AS key, ${role} AS role,
                 v::oid < 16384::oid AS "isSystems", ${type === "regclass" ? isAbsent : "false"} AS "isAbsent", ${isFound} AS "isFound"
            FROM (SELECT DISTINCT v FROM (${values}) AS every WHERE v IS NOT NULL LIMIT ${maxDistinct}) AS named
           WHERE v::text !~ '^(-|[0-9]+)$'::text ORDER BY 1`;
}

async function missingNames(
  { target, spec }: ValidationContext,
  type: NamingType,
  named: readonly NamedObject[],
  cut: ReadonlySet<string>,
): Promise<string[]> {
  const targetNames = await namesOnTarget(
    target,
    type,
    named
      .filter(({ isSystems, isAbsent, role }) => (isSystems && !isAbsent) || role !== null)
      .map(({ role, name }) => role ?? name),
  );
  const isMissing = ({ name, key, role, isSystems, isAbsent, isFound }: NamedObject): boolean => {
    if (role !== null) return !targetNames.has(role) && !(spec.migrateRoles && isMigratedRole(role));
    if (isAbsent) return !spec.dataOnly;
    if (isSystems) return !targetNames.has(name);
    return !isFound || cut.has(key);
  };
  return named.filter(isMissing).map(({ name }) => name);
}

/** The built-in objects and roles that the target has. */
async function namesOnTarget(target: Client, type: NamingType, names: readonly string[]): Promise<ReadonlySet<string>> {
  if (names.length === 0) return new Set();
  const isThere =
    type === "regrole" || type === "aclitem"
      ? "EXISTS (SELECT FROM pg_roles WHERE rolname = name)"
      : /^reg(config|dictionary)$/.test(type)
        ? `EXISTS (SELECT FROM ${catalogues[type]} c WHERE c.oid < 16384 AND c.oid::${type}::text = name)`
        : `to_${type}(name) IS NOT NULL`;
  const { rows } = await target.query<{ name: string }>(
    `SELECT name FROM unnest($1::text[]) AS name WHERE ${isThere}`,
    [names],
  );
  return new Set(rows.map(({ name }) => name));
}
