import type { Client } from "pg";
import { isApplicationSession, isOfApplication, migrationSessions } from "./application-sessions.js";

/** A session that writes into a database, other than those of migrations. */
export interface WritingSession {
  readonly pid: number;
  readonly user: string;
  /** Empty if the session has none. */
  readonly application: string;
}

/**
 * Lists the sessions in the session's database whose open transaction has written. With `recentSeconds` also those whose last
 * statement wrote within that time. Its text is visible only to superusers, `pg_read_all_stats` and the session's own role.
 *
 * @example for (const { user } of await writingSessions(session)) console.log(user);
 */
export async function writingSessions(session: Client, recentSeconds = 0): Promise<WritingSession[]> {
  const { rows } = await session.query<WritingSession>(
    `SELECT a.pid, a.usename AS user, coalesce(a.application_name, '') AS application
       FROM pg_stat_activity a
      WHERE ${isApplicationSession} AND coalesce(a.query, '') NOT LIKE 'autovacuum:%'
        AND (a.pid IN (SELECT l.pid FROM pg_locks l WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock')
             OR a.state_change > clock_timestamp() - $2 * interval '1 second'
                AND a.query ~* '^\\s*(insert|update|delete|merge|truncate|copy\\s.*\\sfrom)\\M')
      ORDER BY a.pid`,
    [migrationSessions, recentSeconds],
  );
  return rows;
}

/**
 * Lists the sessions of applications in these databases. To a role that is no superuser, superusers are the service itself.
 *
 * @param session in any database
 * @example await applicationSessions(maintenance, ["crm"])
 */
export async function applicationSessions(
  session: Client,
  databases: readonly string[],
): Promise<(WritingSession & { readonly database: string })[]> {
  const { rows } = await session.query<WritingSession & { readonly database: string }>(
    `SELECT a.pid, a.usename AS user, coalesce(a.application_name, '') AS application, a.datname AS database
       FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
      WHERE a.datname = ANY ($2) AND ${isOfApplication}
        AND (NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
      ORDER BY a.pid`,
    [migrationSessions, databases],
  );
  return rows;
}

/**
 * Sessions for a message, by role and application.
 *
 * @example describeSessions(sessions) === ["shop (billing, 2 sessions)", "bob (psql)"]
 */
export function describeSessions(sessions: readonly WritingSession[]): string[] {
  const counts = new Map<string, number>();
  for (const { user, application } of sessions) {
    const who = JSON.stringify([user, application || "no application name"]);
    counts.set(who, (counts.get(who) ?? 0) + 1);
  }
  return [...counts].map(([who, count]) => {
    const [user, application] = JSON.parse(who) as [string, string];
    return `${user} (${application}${count > 1 ? `, ${count} sessions` : ""})`;
  });
}
