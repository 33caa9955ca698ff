import assert from "node:assert/strict";
import { escapeIdentifier } from "pg";
import type { EmbeddedServer, Login } from "./servers/embedded-server";

/** A database on a server, and the login that reads it. */
export interface Place {
  readonly server: EmbeddedServer;
  readonly database: string;
  readonly login?: Partial<Login>;
}

/**
 * Fails unless both databases have the same tables with the same rows. Compares the rows' text under fixed settings, and
 * does not use the engine's own comparison. Returns the number of tables.
 */
export async function assertSameContent(source: Place, target: Place): Promise<number> {
  const [expected, actual] = await Promise.all([digests(source), digests(target)]);
  assert.deepEqual(actual, expected);
  return Object.keys(expected).length;
}

/** For every table its number of rows and a digest that does not depend on their order. */
export async function digests({ server, database, login }: Place): Promise<Record<string, string>> {
  const client = await server.connect(database, login);
  try {
    // First, because a database may have settings that prevent other statements.
    await client.query("SET statement_timeout = 0; SET ROLE NONE; SET search_path = ''");
    await client.query(
      "SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET row_security = off; SET quote_all_identifiers = off",
    );
    const { rows } = await client.query<{ schema: string; name: string; columns: string[] }>(
      `SELECT n.nspname AS schema, c.relname AS name,
              -- Before 12, a server prints more digits of a float than later versions. Its bytes are the same everywhere.
              array(SELECT CASE WHEN atttypid IN ('float4'::regtype, 'float8'::regtype, 'point'::regtype)
                                THEN format('encode(%s(%I), ''hex'')', (SELECT typsend FROM pg_type WHERE oid = atttypid), attname)
                                ELSE quote_ident(attname) END
                      FROM pg_attribute
                     WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attname) AS columns
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated) AND n.nspname !~ '^(pg_|pgmigration_dropped_)' AND n.nspname <> 'information_schema' ORDER BY 1, 2`,
    );
    // Expressions of tables find functions by the search_path of applications.
    await client.query("RESET search_path");
    const result: Record<string, string> = {};
    for (const { schema, name, columns } of rows) {
      const table = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
      const digest = await client.query<{ digest: string }>(
        `SELECT count(*) || ' ' || coalesce(pg_catalog.md5(string_agg(hash, '' ORDER BY hash)), '') AS digest
           FROM (SELECT pg_catalog.md5(ROW(${columns.join(", ")})::pg_catalog.text) AS hash FROM ONLY ${table}) AS r`,
      );
      result[`${schema}.${name}`] = digest.rows[0]!.digest;
    }
    return result;
  } finally {
    await client.end();
  }
}
