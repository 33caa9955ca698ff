import pg from "pg";
import type { Problem } from "../findings.js";
import type { MigrationSpec } from "../inputs/inputs.js";
import { notExtensionMember, userSchemas } from "../postgres/catalogue-filters.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { withSession } from "../postgres/connection/with-session.js";
import { connectionFinding } from "./connection-finding.js";
import { sourceBlockers } from "./source-blockers.js";

/** What a session in a database of the source shows. */
export interface DatabaseContent {
  /** Null if the database cannot be read. */
  readonly tables: number | null;
  readonly extensions: readonly string[];
  readonly blockers: readonly Problem[];
  /** Why the database cannot be read. */
  readonly unreadable: string | null;
}

/**
 * Reads one database in a session of its own. A database that cannot be read is part of the result, not an error.
 *
 * @example (await readDatabaseContent(source, "crm", "Online")).blockers
 */
export async function readDatabaseContent(
  source: Endpoint,
  database: string,
  migrationMode: MigrationSpec["migrationMode"],
): Promise<DatabaseContent> {
  try {
    return await withSession(source, { database, purpose: "list databases" }, async (session) => {
      // A table that VACUUM FULL or ALTER TABLE locks must not hold up the list.
      await session.query("SET lock_timeout = '1s'");
      const { rows } = await session.query<Pick<DatabaseContent, "tables" | "extensions">>(contentQuery);
      const blockers = await sourceBlockers({ source, database, session, migrationMode });
      return { ...rows[0]!, blockers, unreadable: null };
    });
  } catch (error) {
    const unknown = { tables: null, extensions: [] };
    if (error instanceof pg.DatabaseError) return { ...unknown, blockers: [], unreadable: error.message };
    const type = "AuthenticationAndConnectivityValidation";
    const finding = connectionFinding(error, "source", { database, object: database, objectType: "Database", type });
    return { ...unknown, blockers: [finding], unreadable: finding.message };
  }
}

/** Partitions count as tables; tables of extensions do not. */
const contentQuery = `
SELECT (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND ${userSchemas("n")} AND ${notExtensionMember("pg_class", "c.oid")}) AS tables,
       ARRAY(SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1) AS extensions`;
