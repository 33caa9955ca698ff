import type { Client } from "pg";

/** A query for the settings (key, value) with which a session reads and writes bytes of any encoding. */
export const byteSettings = `SELECT 'client_encoding', 'SQL_ASCII' WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`;

/**
 * Lets a session read and write the bytes of an SQL_ASCII database, which may be of any encoding or of none. The server
 * refuses bytes that are invalid in the session's encoding, so the session must not name one. Databases of other
 * encodings are left as they are.
 */
export async function passBytes(session: Client): Promise<void> {
  await session.query(
    `SELECT pg_catalog.set_config(wanted.key, wanted.value, false) FROM (${byteSettings}) AS wanted (key, value)`,
  );
}
