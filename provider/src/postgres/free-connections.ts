import type { Client } from "pg";

/** How many sessions ordinary roles can still open on a server. */
export async function freeConnections(session: Client): Promise<number> {
  const { rows } = await session.query<{ free: number }>(
    `SELECT pg_catalog.current_setting('max_connections')::int
              OPERATOR(pg_catalog.-) pg_catalog.current_setting('superuser_reserved_connections')::int
              OPERATOR(pg_catalog.-) (SELECT pg_catalog.sum(numbackends)::int FROM pg_catalog.pg_stat_database) AS free`,
  );
  return rows[0]!.free;
}
