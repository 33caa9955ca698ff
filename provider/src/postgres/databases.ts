import type { Client } from "pg";

/** A database of a server. */
export interface Database {
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  readonly collation: string;
  /** Whether it is a template, allows no connections, or is what an interrupted DROP DATABASE left. */
  readonly isClosed: boolean;
  /** Null if the role may not know it. */
  readonly bytes: number | null;
}

/** All databases of a server, by name. Any session of the server serves. @example await listDatabases(session) */
export async function listDatabases(session: Client): Promise<Database[]> {
  // Without CONNECT, only members of pg_read_all_stats may read the size.
  const { rows } = await session.query<Database>(
    `SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
            d.datcollate AS collation, (d.datistemplate OR NOT d.datallowconn OR d.datconnlimit = -2) AS "isClosed",
            CASE WHEN has_database_privilege(d.oid, 'CONNECT')
                   OR (SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_read_all_stats')
                 THEN pg_database_size(d.oid)::float8 END AS bytes
       FROM pg_database d ORDER BY d.datname`,
  );
  return rows;
}
