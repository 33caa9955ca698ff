import type { Client } from "pg";
import { serverVersion } from "../../postgres/server-version.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";

/**
 * Writes an empty transaction to the source's WAL. Even on an idle source, the stream then soon passes the awaited position.
 * If the role may not write it, keepalives report the position later.
 *
 * @returns whether the message was written
 */
export async function emitHeartbeatMessage(source: Client): Promise<boolean> {
  // pg_logical_emit_message exists from 9.6 on. Earlier, assigning a transaction ID is enough to write a commit record.
  const statement =
    (await serverVersion(source)) >= 90600
      ? "SELECT pg_catalog.pg_logical_emit_message(true, 'pg-migration', 'heartbeat')"
      : "SELECT pg_catalog.txid_current()";
  try {
    await source.query(statement);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === sqlStates.insufficientPrivilege) return false;
    throw error;
  }
}
