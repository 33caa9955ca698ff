import type { Client } from "pg";
import { type BlockingSession, sessionColumns, withoutNulls } from "./blocking-sessions.js";
import { applicationNamePrefix } from "../connection/connect.js";

/** A session of an application that waits for an ACCESS EXCLUSIVE lock on a table. */
export interface LockWaiter {
  /** Qualified and quoted. */
  readonly table: string;
  /** The table's OID. */
  readonly oid: number;
  /** Process ID of the session of a migration that has the table locked. */
  readonly holder: number;
  /** Whether a session of a migration waits behind it. */
  readonly isAheadOfMigration: boolean;
  readonly session: BlockingSession;
}

/** The sessions with the locks. */
export interface LockHolders {
  readonly pids: readonly number[];
  /** The application_name of further sessions, for which no session of a migration waits. */
  readonly applicationNames?: readonly string[];
}

/**
 * The sessions that wait for tables on which sessions of a migration have ACCESS SHARE locks. `pg_blocking_pids` would
 * name the same sessions, but does not exist before 9.6.
 *
 * @param observer a session in the database of the tables
 */
export async function lockWaiters(
  observer: Client,
  { pids, applicationNames = [] }: LockHolders,
): Promise<LockWaiter[]> {
  const { rows } = await observer.query<Omit<LockWaiter, "session"> & Record<keyof BlockingSession, never>>(
    `WITH locks AS (
       SELECT l.pid, l.database, l.relation, l.granted, l.mode, coalesce(a.application_name, '') LIKE $2 AS ours,
              l.pid = ANY ($1::int[]) OR coalesce(a.application_name, '') = ANY ($3::text[]) AS "isHolder"
         FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE l.locktype = 'relation')
     SELECT waiter.relation::regclass::text AS "table", waiter.relation AS oid, held.pid AS holder, waiter.pid, ${sessionColumns},
            EXISTS (SELECT FROM locks behind
                     WHERE behind.relation = waiter.relation
                       AND behind.ours AND NOT behind.granted) AS "isAheadOfMigration"
       FROM locks held
       JOIN locks waiter ON waiter.relation = held.relation
        AND NOT waiter.granted AND NOT waiter.ours AND waiter.mode = 'AccessExclusiveLock'
       JOIN pg_catalog.pg_stat_activity activity ON activity.pid = waiter.pid
       LEFT JOIN pg_catalog.pg_prepared_xacts prepared ON false
      WHERE held."isHolder" AND held.granted
      ORDER BY waiter.pid`,
    [pids, `${applicationNamePrefix}%`, applicationNames],
  );
  return rows.map(({ table, oid, holder, isAheadOfMigration, ...session }) => ({
    table,
    oid,
    holder,
    isAheadOfMigration,
    session: withoutNulls<BlockingSession>(session),
  }));
}
