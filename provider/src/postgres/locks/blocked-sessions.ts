import type { Client } from "pg";
import { withoutNulls } from "./blocking-sessions.js";
import { applicationNamePrefix } from "../connection/connect.js";
import { serverVersion } from "../server-version.js";

/** A session that waits for locks of migrations' sessions. */
export interface BlockedSession {
  readonly pid: number;
  readonly user: string | undefined;
  readonly applicationName: string | undefined;
  /**
   * The table to be altered or truncated, qualified and quoted; undefined if the session waits for the end of a
   * transaction.
   */
  readonly table: string | undefined;
  /** Before 14 the start of the statement, because the server does not record the start of a wait. */
  readonly waitingSince: Date | undefined;
  readonly statementSince: Date | undefined;
  /** Number of sessions that want to read or write the table, and wait behind this session's request. */
  readonly behind: number;
}

const maxNamed = 20;

/**
 * The sessions of the current database that wait for sessions of migrations. Migrations only read. Therefore these sessions
 * either request ACCESS EXCLUSIVE, or wait for older transactions to end, as CREATE INDEX CONCURRENTLY does.
 * pg_blocking_pids would give the same result, but exists only from 9.6 on.
 */
export async function blockedSessions(session: Client): Promise<BlockedSession[]> {
  const waitingSince =
    (await serverVersion(session)) >= 140000 ? "coalesce(waiter.waitstart, query_start)" : "query_start";
  const { rows } = await session.query<Record<keyof BlockedSession, unknown>>(
    `WITH locks AS (
       SELECT l.*, a.usename, a.application_name, a.query_start, a.application_name LIKE $1 AS ours
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
        WHERE a.datname = current_database())
     SELECT pid, usename AS "user", application_name AS "applicationName", relation::regclass::text AS "table",
            ${waitingSince} AS "waitingSince", query_start AS "statementSince",
            (SELECT count(DISTINCT behind.pid)::int FROM locks behind
              WHERE behind.relation = waiter.relation AND NOT behind.granted AND behind.mode <> waiter.mode) AS behind
       FROM locks waiter
      WHERE NOT granted AND NOT ours AND EXISTS (
              SELECT FROM locks holder
               WHERE holder.granted AND holder.ours AND holder.locktype = waiter.locktype
                 AND (holder.virtualxid = waiter.virtualxid
                      OR holder.relation = waiter.relation AND waiter.mode = 'AccessExclusiveLock'))
      ORDER BY pid LIMIT ${maxNamed}`,
    [`${applicationNamePrefix}%`],
  );
  return rows.map((row) => withoutNulls<BlockedSession>(row));
}
