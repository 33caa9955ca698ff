import type { Client } from "pg";
import { userSchemas } from "../postgres/catalogue-filters.js";
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

/** A digest of the definition of each table, by its OID. TRUNCATE, VACUUM and ANALYZE do not change it. */
export type TableVersions = ReadonlyMap<string, { readonly name: string; readonly version: string }>;

/** What statements that do not change a definition write into pg_class. */
const storageOnly = [
  ...["relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"],
  ...["relhasindex", "relhasrules", "relhastriggers", "relhassubclass", "relhaspkey"],
];

/**
 * Reads the versions of the tables as of the session's snapshot. A row of the catalogue has another xmin after each change, also
 * if it is changed back.
 *
 * @example const isAltered = (await readTableVersions(inSnapshot)).get(oid) !== (await readTableVersions(session)).get(oid);
 */
export async function readTableVersions(session: Client): Promise<TableVersions> {
  const xmins = (catalogue: string, table: string): string =>
    `(SELECT string_agg(r.xmin::text, ',' ORDER BY r.xmin::text) FROM ${catalogue} r WHERE r.${table} = c.oid)`;
  const properties = (relation: string): string =>
    `(to_jsonb(${relation}) ${storageOnly.map((column) => `- '${column}'`).join(" ")})`;
  const { rows } = await session.query<{ oid: string; name: string; version: string }>(
    `SELECT c.oid::text AS oid, format('%I.%I', n.nspname, c.relname) AS name,
            md5(concat_ws(';', ${properties("c")},
              ${xmins("pg_attribute", "attrelid")}, ${xmins("pg_attrdef", "adrelid")}, ${xmins("pg_constraint", "conrelid")},
              ${xmins("pg_index", "indrelid")}, ${xmins("pg_trigger", "tgrelid")}, ${xmins("pg_rewrite", "ev_class")},
              ${xmins("pg_policy", "polrelid")}, ${xmins("pg_inherits", "inhrelid")},
              (SELECT string_agg(${properties("i")}::text, ',' ORDER BY i.oid)
                 FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid))) AS version
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${userSchemas("n")}`,
  );
  return new Map(rows.map(({ oid, name, version }) => [oid, { name, version }]));
}
