import type { Client } from "pg";
import { qualify, type RelationName } from "../postgres/identifiers.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { QueryTimes } from "./slower-queries.js";

/**
 * The extension's function in C, which only a superuser can create. The view of the same name is not read: its owner could
 * replace it by one that calls other functions.
 */
const functionQuery = `
  SELECT n.nspname::text AS schema, p.proname::text AS name
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
   WHERE e.extname = 'pg_stat_statements' AND p.proname = 'pg_stat_statements' AND l.lanname = 'c'`;

/** Utility commands are recorded with their constants, and have no plan. Before 13, the time has another name. */
const timesQuery = ({ schema, name }: RelationName): string => `
  SELECT s.query AS text, s.calls::float8 AS calls,
         coalesce(pg_catalog.to_jsonb(s) ->> 'total_exec_time', pg_catalog.to_jsonb(s) ->> 'total_time')::float8 AS "totalMs"
    FROM ${qualify(schema, name)}(true) AS s
   WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND s.query ~* '^\\s*(select|with|insert|update|delete|merge|values)\\M'`;

/** What pg_stat_statements recorded of the database; undefined if it is not installed there, or not loaded. */
export async function readQueryTimes(session: Client): Promise<QueryTimes[] | undefined> {
  const [found] = (await session.query<RelationName>(functionQuery)).rows;
  if (!found) return undefined;
  try {
    return (await session.query<QueryTimes>(timesQuery(found))).rows;
  } catch (error) {
    if (sqlStateOf(error) === sqlStates.objectNotInPrerequisiteState) return undefined;
    throw error;
  }
}
