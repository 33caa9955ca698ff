import type { Client } from "pg";
import { notExtensionMember } from "../../postgres/catalogue-filters.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

/** A use of a built-in object by an object of the source. */
interface Use {
  /** The using object in the server's description, and its {@link catalogueKey}. */
  readonly user: string;
  readonly key: string;
  readonly kind: "column" | "function" | "operator";
  /** A column's relation, or the object's own name. */
  readonly schema: string;
  readonly name: string;
  /** A column's name, a function's number of arguments, an operator's operand types. */
  readonly detail: string;
}

const maxNamed = 50;

/**
 * Columns of system catalogues, functions and operators that the source has and the target lacks, because of another
 * version of PostgreSQL or a fork. The target would refuse objects that use them. Function bodies in strings are not
 * included, because the target accepts them unchecked.
 */
export const systemObjects: Rule = async ({ sources, target, sourceVersion, spec }) => {
  const findings: Finding[] = [];
  for (const [database, client] of sources) {
    const { cut } = await readSelection(client, spec);
    const used = (await readUses(client, sourceVersion)).filter(({ key }) => !cut.has(key));
    const missing = await missingOnTarget(target, used);
    if (missing.length === 0) continue;
    const users = [...new Set(missing.map(({ user }) => user))];
    const names = users.map((user) => {
      const titles = missing.filter((use) => use.user === user).map(titleOf);
      return `${user} (${enumerate(titles)})`;
    });
    findings.push({
      database,
      type: "SchemaValidation",
      state: "Failed",
      code: "PGM-420",
      object: missing[0]!.user,
      objectType: "Database",
      message: `the target's version of PostgreSQL lacks columns, functions or operators that these use: ${enumerate(names, maxNamed)}`,
      remedy:
        "exclude them (views by exclude: { tables: [...] }) or drop them on the source, and create them on the target in a form for its version",
    });
  }
  return findings;
};

function titleOf({ kind, schema, name, detail }: Use): string {
  if (kind === "column") return `column ${schema}.${name}.${detail}`;
  return kind === "operator" ? `operator ${name} of ${detail}` : `function ${name} of ${detail} arguments`;
}

/** Catalogues with stored expressions: the owner of an expression, and the expression as pg_node_tree. */
function trees(version: number): string {
  const whole = `CASE WHEN w.rulename = '_RETURN' THEN 'pg_class'::regclass ELSE 'pg_rewrite'::regclass END::oid`;
  const part = `CASE WHEN w.rulename = '_RETURN' THEN w.ev_class ELSE w.oid END`;
  return [
    `SELECT ${whole} AS classid, ${part} AS objid, w.ev_action::text || w.ev_qual::text AS tree
       FROM pg_rewrite w WHERE w.oid >= 16384 AND ${notExtensionMember("pg_class", "w.ev_class")}`,
    "SELECT 'pg_attrdef'::regclass, oid, adbin::text FROM pg_attrdef WHERE oid >= 16384",
    "SELECT 'pg_constraint'::regclass, oid, conbin::text FROM pg_constraint WHERE oid >= 16384 AND conbin IS NOT NULL",
    "SELECT 'pg_policy'::regclass, oid, concat(polqual::text, polwithcheck::text) FROM pg_policy",
    "SELECT 'pg_trigger'::regclass, oid, tgqual::text FROM pg_trigger WHERE tgqual IS NOT NULL",
    `SELECT 'pg_class'::regclass, indexrelid, concat(indexprs::text, indpred::text) FROM pg_index
      WHERE indexrelid >= 16384 AND coalesce(indexprs, indpred) IS NOT NULL`,
    `SELECT 'pg_proc'::regclass, p.oid, concat(p.proargdefaults::text${version >= 140000 ? ", p.prosqlbody::text" : ""}) FROM pg_proc p
      WHERE p.oid >= 16384 AND ${notExtensionMember("pg_proc", "p.oid")}`,
  ].join(" UNION ALL ");
}

async function readUses(source: Client, version: number): Promise<Use[]> {
  // The bit of a column in a tree is its number minus that of the lowest system column
  // (FirstLowInvalidHeapAttributeNumber).
  const lowest = version >= 120000 ? 7 : 8;
  const { rows } = await source.query<Use>(
    `WITH tree AS (${trees(version)}
     ), used AS (
       SELECT DISTINCT classid, objid, 'column' AS kind, m[1]::oid AS id, bit::int - ${lowest} AS number
         FROM tree, regexp_matches(tree, ':relid (\\d+) [^{}()]*:selectedCols \\(b ([\\d ]+)\\)', 'g') AS m,
              regexp_split_to_table(m[2], ' ') AS bit
       UNION
       -- Format 0: a call by name, not a cast or SQL syntax.
       SELECT classid, objid, 'function', m[1]::oid, 0
         FROM tree, regexp_matches(tree, ':funcid (\\d+) :funcresulttype \\d+ :funcretset \\w+ :funcvariadic \\w+ :funcformat 0', 'g') AS m
       UNION
       SELECT classid, objid, 'function', m[1]::oid, 0 FROM tree, regexp_matches(tree, ':(?:aggfnoid|winfnoid) (\\d+)', 'g') AS m
       UNION
       SELECT classid, objid, 'operator', m[1]::oid, 0 FROM tree, regexp_matches(tree, ':opno (\\d+)', 'g') AS m
     ), named AS (
       SELECT u.classid, u.objid, u.kind, n.nspname AS schema, c.relname AS name, a.attname::text AS detail
         FROM used u JOIN pg_class c ON c.oid = u.id JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number AND a.attnum > 0
        WHERE u.kind = 'column' AND u.id < 16384
       UNION ALL
       SELECT u.classid, u.objid, u.kind, n.nspname, p.proname, p.pronargs::text
         FROM used u JOIN pg_proc p ON p.oid = u.id JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE u.kind = 'function' AND u.id < 16384
       UNION ALL
       SELECT u.classid, u.objid, u.kind, n.nspname, o.oprname, ${operandTypes}
         FROM used u JOIN pg_operator o ON o.oid = u.id JOIN pg_namespace n ON n.oid = o.oprnamespace
        WHERE u.kind = 'operator' AND u.id < 16384
     )
     SELECT pg_describe_object(classid, objid, 0) AS user, classid || '/' || objid AS key, kind, schema, name, detail FROM named
      WHERE schema IN ('pg_catalog', 'information_schema') ORDER BY 1, 3, 5, 6`,
  );
  return rows;
}

/**
 * PostgreSQL 14 changed anyarray and anyelement of array operators to the compatible types, which accept the same
 * operands.
 */
const operandTypes =
  "replace(concat_ws(', ', nullif(o.oprleft, 0)::regtype, nullif(o.oprright, 0)::regtype), 'compatible', '')";

/** The uses whose object is missing on the target. */
async function missingOnTarget(target: Client, uses: readonly Use[]): Promise<Use[]> {
  const distinct = new Map(uses.map((use) => [objectKey(use), use]));
  const { rows } = await target.query<Pick<Use, "kind" | "schema" | "name" | "detail">>(
    `SELECT w.kind, w.schema, w.name, w.detail
       FROM json_to_recordset($1::json) AS w (kind text, schema name, name name, detail text)
       JOIN pg_namespace n ON n.nspname = w.schema
      WHERE NOT CASE w.kind
              WHEN 'column' THEN EXISTS (
                SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                 WHERE c.relnamespace = n.oid AND c.relname = w.name AND a.attname = w.detail AND NOT a.attisdropped)
              WHEN 'function' THEN EXISTS (
                SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = w.name
                   AND (p.provariadic <> 0 OR w.detail::int BETWEEN p.pronargs - p.pronargdefaults AND p.pronargs))
              ELSE EXISTS (
                SELECT FROM pg_operator o WHERE o.oprnamespace = n.oid AND o.oprname = w.name AND ${operandTypes} = w.detail)
            END`,
    [JSON.stringify([...distinct.values()])],
  );
  const missing = new Set(rows.map(objectKey));
  return uses.filter((use) => missing.has(objectKey(use)));
}

const objectKey = ({ kind, schema, name, detail }: Pick<Use, "kind" | "schema" | "name" | "detail">): string =>
  JSON.stringify([kind, schema, name, detail]);
