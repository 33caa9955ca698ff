import type { Client } from "pg";

/**
 * An SQL_ASCII database holds bytes of any encoding, or of none: a session there has to claim no encoding either, or the
 * server refuses all that is not valid in the claimed one. Other databases are left alone.
 */
export async function passBytes(session: Client): Promise<void> {
  await session.query(
    `SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
      WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'`,
  );
}
