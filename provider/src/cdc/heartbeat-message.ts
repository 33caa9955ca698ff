import type { Client } from "pg";
import { serverVersion } from "../postgres/server-version.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";

/**
 * Writes an empty transaction to the source's WAL, so that an idle source has something to read beyond the position that
 * somebody waits for. Where the role may not, keepalives have to do.
 *
 * @returns whether it was written
 */
export async function emitHeartbeatMessage(source: Client): Promise<boolean> {
  // pg_logical_emit_message is of 9.6; before, a transaction that only asks for its number leaves a commit record.
  const statement =
    (await serverVersion(source)) >= 90600
      ? "SELECT pg_catalog.pg_logical_emit_message(true, 'pg-migration', 'nudge')"
      : "SELECT pg_catalog.txid_current()";
  try {
    await source.query(statement);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === sqlStates.insufficientPrivilege) return false;
    throw error;
  }
}
