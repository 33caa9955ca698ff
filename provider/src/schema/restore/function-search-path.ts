import type { Client } from "pg";
import type { RelationName } from "../../postgres/identifiers.js";
import { settingValue } from "../database/setting-value.js";
import { type Statement, parseStatement, relationAt } from "../sql/statements.js";

/**
 * Statements that set the search_path of the functions called by a statement. Functions with their own search_path, and
 * those of extensions, are excluded. The statement qualifies names, as PostgreSQL does under an empty search_path.
 */
export async function pinSearchPath(target: Client, statement: Statement, path: string): Promise<Statement[]> {
  const { rows } = await target.query<{ signature: string }>(
    `SELECT p.oid::regprocedure::text AS signature
       FROM json_to_recordset($1) AS called (schema text, name text)
       JOIN pg_catalog.pg_namespace n ON n.nspname = called.schema
       JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proname = called.name
       JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
      WHERE p.prokind = 'f'
        AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search_path=%')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`,
    [JSON.stringify(calledFunctions(statement))],
  );
  const value = settingValue("search_path", path);
  return rows.map(({ signature }) => parseStatement(`ALTER FUNCTION ${signature} SET search_path TO ${value}`));
}

function calledFunctions(statement: Statement): RelationName[] {
  return statement.tokens.flatMap((_, index) => {
    const called = statement.tokens[index + 3]?.text === "(" ? relationAt(statement, index) : undefined;
    return called ? [called] : [];
  });
}

/** The query of a materialized view, for finding its functions. */
export async function materializedQuery(target: Client, { schema, name }: RelationName): Promise<Statement> {
  const { rows } = await target.query<{ query: string }>(
    `SELECT pg_catalog.pg_get_viewdef(c.oid) AS query
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return parseStatement(rows[0]?.query ?? "");
}
