import type { Client } from "pg";

/** A query for the settings (key, value) with which a session reads and writes bytes of any encoding. */
export const byteSettings = `SELECT 'client_encoding'::text, 'SQL_ASCII'::text WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`;

/** The statement of {@link passBytes}. */
export const passedBytes = `SELECT pg_catalog.set_config(wanted.key, wanted.value, false) FROM (${byteSettings}) AS wanted (key, value)`;

/**
 * Sets client_encoding to SQL_ASCII in an SQL_ASCII database, which may hold bytes of any encoding. With another client
 * encoding the server refuses bytes that are invalid in it. Sessions of other databases are not changed.
 */
export async function passBytes(session: Client): Promise<void> {
  await session.query(passedBytes);
}
