import { userSchemas } from "../../postgres/catalogue-filters.js";
import { readSelection } from "../../schema/plan/selection.js";
import type { Finding } from "../../findings.js";
import type { Rule } from "../context.js";
import { enumerate } from "../../units/enumerate.js";

interface TypedColumn {
  readonly column: string;
  readonly type: string;
  /** The {@link catalogueKey} of its table. */
  readonly key: string;
}

/** Columns with built-in types of a fork of PostgreSQL, such as those of EDB Postgres Advanced Server. */
export const forkTypes: Rule = async ({ sources, target, spec }) => {
  const findings: Finding[] = [];
  for (const [database, source] of sources) {
    const { cut } = await readSelection(source, spec);
    const { rows } = await source.query<TypedColumn>(columnsQuery);
    const { rows: missing } = await target.query<{ type: string }>(
      `SELECT type FROM unnest($1::name[]) AS type
        WHERE NOT EXISTS (SELECT FROM pg_type WHERE typname = type AND typnamespace = 'pg_catalog'::regnamespace)`,
      [[...new Set(rows.map(({ type }) => type))]],
    );
    const unknown = new Set(missing.map(({ type }) => type));
    const columns = rows
      .filter(({ key, type }) => !cut.has(key) && unknown.has(type))
      .map(({ column, type }) => `${column} (${type})`);
    if (columns.length === 0) continue;
    findings.push({
      ...{ database, type: "SchemaValidation", objectType: "Database", object: columns[0] },
      ...{ state: "Failed", code: "PGM-445" },
      message: `these columns have built-in types that the target does not have: ${enumerate(columns, 20)}`,
      remedy:
        "on the source, change them to types of PostgreSQL (ALTER TABLE ... ALTER ... TYPE), or exclude the tables",
    });
  }
  return findings;
};

/** Types of users have higher OIDs. PostgreSQL's own former types are another finding. */
const columnsQuery = `
  SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS column, t.typname AS type,
         'pg_class'::regclass::oid || '/' || c.oid AS key
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${userSchemas("n")} AND a.attnum > 0 AND NOT a.attisdropped
     AND t.typnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'sys')) AND t.oid < 16384
     AND t.typname !~ '^_?(abstime|reltime|tinterval)$'
   ORDER BY 1`;
