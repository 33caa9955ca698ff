import type { Client } from "pg";
import { withoutNulls } from "./blocking-sessions.js";
import { applicationNamePrefix } from "../connection/connect.js";
import { serverVersion } from "../server-version.js";

/** Somebody who waits for what sessions of migrations have locked. */
export interface BlockedSession {
  readonly pid: number;
  readonly user: string | undefined;
  readonly applicationName: string | undefined;
  /** What is to be altered or truncated, qualified and quoted; undefined where the end of a transaction is awaited. */
  readonly table: string | undefined;
  /** Before 14 the server does not know, and this is when the statement began. */
  readonly waitingSince: Date | undefined;
  readonly statementSince: Date | undefined;
  /** How many sessions, who would only read or write the table, wait behind this one. */
  readonly behind: number;
}

const mostNamed = 20;

/**
 * Whom the sessions of migrations hold up in the session's database at this moment. They read: so it is those who want a
 * table for themselves, and those who wait for the end of all older transactions, as CREATE INDEX CONCURRENTLY does.
 * pg_blocking_pids would tell nothing else, and is not there before 9.6.
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
      ORDER BY pid LIMIT ${mostNamed}`,
    [`${applicationNamePrefix}%`],
  );
  return rows.map((row) => withoutNulls<BlockedSession>(row));
}
