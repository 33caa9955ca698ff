import type { Client } from "pg";
import type { RelationName } from "../postgres/identifiers.js";

/**
 * The unlogged tables of the session's database that have no pages. When a server recovers from a crash, it empties its
 * unlogged tables. A table that had rows before then has no pages, and no page is read to find out.
 */
export async function emptyUnloggedTables(target: Client): Promise<RelationName[]> {
  const { rows } = await target.query<RelationName>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND pg_catalog.pg_relation_size(c.oid) = 0
      ORDER BY 1, 2`,
  );
  return rows;
}
