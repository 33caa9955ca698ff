import type { Client } from "pg";
import { callsWritten } from "./called-functions.js";
import { qualify, type RelationName } from "./identifiers.js";
import { serverVersion } from "./server-version.js";

/** SQL: the roles, other than superusers and the session's role, that own objects in the database. */
export const otherOwners = `
  SELECT DISTINCT r.rolname AS name
    FROM pg_shdepend s JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND r.oid = s.refobjid
   WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND s.deptype = 'o' AND NOT r.rolsuper AND r.rolname <> current_user`;

/** SQL condition: everything in the database belongs to superusers or to the session's role. */
const isAllTrusted = `NOT EXISTS (${otherOwners})`;

/** Whether everything in the database belongs to superusers or to the session's role. */
export async function isEverythingTrusted(session: Client): Promise<boolean> {
  const { rows } = await session.query<{ trusted: boolean }>(`SELECT ${isAllTrusted} AS trusted`);
  return rows[0]!.trusted;
}

/**
 * SQL condition: planning a query over the relation runs functions written by users. The planner evaluates the constant
 * parts of index expressions, of index predicates, and of statistics expressions (from 14 on).
 */
export function planningCallsWritten(relation: string, version: number): string {
  const statistics = `OR EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = ${relation} AND ${callsWritten("s.stxexprs")})`;
  return `(EXISTS (SELECT FROM pg_index i
                    WHERE i.indrelid = ${relation} AND (${callsWritten("i.indexprs")} OR ${callsWritten("i.indpred")}))
           ${version >= 140000 ? statistics : ""})`;
}

/**
 * Lists tables that must not appear in a query: planning it would run functions of other roles with this role's
 * privileges. `COPY table TO STDOUT` is safe, because the server does not plan it.
 *
 * @param session a session that sees the current catalogue, not a snapshot: the planner uses the current indexes
 * @param among these tables only
 * @returns their names, as {@link qualify} writes them
 */
export async function tablesUnsafeToPlan(
  session: Client,
  among?: readonly RelationName[],
): Promise<ReadonlySet<string>> {
  const condition = among
    ? "(n.nspname, c.relname) IN (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[])))"
    : "true";
  const { rows } = await session.query<{ schema: string; name: string }>(
    query(await serverVersion(session), condition),
    among && [among.map(({ schema }) => schema), among.map(({ name }) => name)],
  );
  return new Set(rows.map(({ schema, name }) => qualify(schema, name)));
}

/** Whether a table is one of {@link tablesUnsafeToPlan}. */
export const isUnsafeToPlan = async (session: Client, table: RelationName): Promise<boolean> =>
  (await tablesUnsafeToPlan(session, [table])).size > 0;

const query = (version: number, condition: string): string =>
  `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.oid >= 16384 AND ${condition}
      AND CASE WHEN ${planningCallsWritten("c.oid", version)} THEN NOT (${isAllTrusted}) ELSE false END`;

/** The statement of {@link refuseViews}. */
export const refusedViews = (during: "session" | "transaction"): string =>
  `SELECT set_config(name, 'view, foreign-table', ${during === "transaction"}) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'`;

/**
 * Makes the server refuse views and foreign tables in the queries of a session or of its transaction. Otherwise a table's owner
 * could replace the table by one of these after it was listed. Servers have this setting since their minor releases of August 2024.
 */
export async function refuseViews(session: Client, during: "session" | "transaction" = "session"): Promise<void> {
  await session.query(refusedViews(during));
}
