import type { Client } from "pg";
import { isApplicationSession, migrationSessions } from "./application-sessions.js";

/** From 15 on, an idle session reports its statistics within this time (PGSTAT_IDLE_INTERVAL of PostgreSQL). */
export const idleReportSeconds = 10;

/** Background workers such as those of subscriptions and pg_cron write, too. The column exists since 10. */
const mayWrite = "(to_jsonb(a) ->> 'backend_type') IS DISTINCT FROM 'walsender'";

/**
 * Whether a session in the session's database, other than those of migrations, may have committed writes that the statistics
 * lack. A session whose activity this role may not see counts as one. For PostgreSQL 15 and later.
 *
 * @example while (await hasUnreportedWrites(session)) await delay(250);
 */
export async function hasUnreportedWrites(session: Client): Promise<boolean> {
  const { rowCount } = await session.query(
    `SELECT FROM pg_stat_activity a
      WHERE ${isApplicationSession} AND ${mayWrite}
        AND (a.state IS DISTINCT FROM 'idle' OR a.state_change > clock_timestamp() - $2 * interval '1 second')
      LIMIT 1`,
    [migrationSessions, idleReportSeconds],
  );
  return rowCount !== 0;
}

/** The server's clock, as text with its time zone. */
export async function readClock(session: Client): Promise<string> {
  const { rows } = await session.query<{ now: string }>("SELECT clock_timestamp()::text AS now");
  return rows[0]!.now;
}

/**
 * Whether a session is in a transaction that began between the two times. What it committed before may be reported only after
 * that transaction.
 *
 * @param from server times of {@link readClock}
 * @example if (await isAnyInTransactionSince(session, { from, to })) console.log("some writes may be unreported");
 */
export async function isAnyInTransactionSince(
  session: Client,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<boolean> {
  const { rowCount } = await session.query(
    `SELECT FROM pg_stat_activity a
      WHERE ${isApplicationSession} AND ${mayWrite}
        AND a.xact_start > $2::timestamptz AND a.xact_start < $3::timestamptz
      LIMIT 1`,
    [migrationSessions, from, to],
  );
  return rowCount !== 0;
}
