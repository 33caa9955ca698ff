import type { Client } from "pg";
import { currentRelation } from "../postgres/current-relation.js";
import { qualify } from "../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { TableName } from "./lock-together.js";

const parametersOf = (tables: readonly TableName[]): [string[], string[]] => [
  tables.map(({ schema }) => schema),
  tables.map(({ name }) => name),
];

/**
 * The tables, qualified and quoted, that were truncated, rewritten, renamed or replaced since the session's snapshot.
 * Catalogue tables are read as of the snapshot; catalogue functions return the current state. All names are qualified, because
 * the search_path may be the application's.
 */
export async function tablesReplacedSince(session: Client, tables: readonly TableName[]): Promise<string[]> {
  const name = "pg_catalog.format('%I.%I', wanted.schema, wanted.name)";
  const named = await currentRelation(session, name);
  const { rows } = await session.query<{ name: string }>(
    `SELECT ${name} AS name
       FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS wanted (schema, name)
       LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) wanted.schema
       LEFT JOIN pg_catalog.pg_class c
         ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) wanted.name
      WHERE coalesce(c.oid, 0) OPERATOR(pg_catalog.<>) coalesce(${named}, 0)
         OR c.relfilenode OPERATOR(pg_catalog.<>) coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)`,
    parametersOf(tables),
  );
  return rows.map(({ name }) => name);
}

/**
 * The tables, qualified and quoted, whose rows the session's snapshot no longer shows, or shows under other columns. If only
 * columns have changed, all tables are returned.
 *
 * @example if ((await tablesAlteredSince(session, tables)).length > 0) await session.query("ROLLBACK");
 */
export async function tablesAlteredSince(session: Client, tables: readonly TableName[]): Promise<string[]> {
  const replaced = await tablesReplacedSince(session, tables);
  if (replaced.length > 0 || !(await columnsReplacedSince(session, tables))) return replaced;
  return tables.map(({ schema, name }) => qualify(schema, name));
}

/**
 * Whether a column of the tables was renamed or dropped since the session's snapshot. COPY would fail, or read the values
 * of another column that has taken the name.
 */
export async function columnsReplacedSince(session: Client, tables: readonly TableName[]): Promise<boolean> {
  try {
    const { rows } = await session.query(
      `SELECT FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)
         JOIN pg_namespace n ON n.nspname = wanted.schema
         JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE (pg_identify_object('pg_class'::regclass, c.oid, a.attnum)).identity
              IS DISTINCT FROM format('%I.%I.%I', wanted.schema, wanted.name, a.attname)
        LIMIT 1`,
      parametersOf(tables),
    );
    return rows.length > 0;
  } catch (error) {
    // Before 14, pg_identify_object fails for a dropped column.
    if (sqlStateOf(error) === sqlStates.internalError) return true;
    throw error;
  }
}
