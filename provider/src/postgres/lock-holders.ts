import type { Client } from "pg";
import { type BlockingSession, sessionColumns, withoutNulls } from "./blocking-sessions.js";

/** Who keeps even readers from a table. */
export interface LockHolder {
  /** Qualified and quoted. */
  readonly table: string;
  /** False for one that waits for its lock itself: whoever comes behind it waits, too. */
  readonly isGranted: boolean;
  readonly session: BlockingSession;
}

/** Other sessions, and prepared transactions, that have or await ACCESS EXCLUSIVE on one of these tables at this moment. */
export async function lockHolders(
  session: Client,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<LockHolder[]> {
  // What pg_stat_activity has told once, it tells again for as long as the transaction lasts.
  await session.query("SELECT pg_catalog.pg_stat_clear_snapshot()");
  const { rows } = await session.query<{ table: string; isGranted: boolean } & Record<keyof BlockingSession, never>>(
    `SELECT wanted.name AS "table", held.granted AS "isGranted", held.pid, ${sessionColumns}
       FROM (SELECT format('%I.%I', schema, name) AS name FROM unnest($1::text[], $2::text[]) AS one (schema, name)) AS wanted
       JOIN pg_catalog.pg_locks held ON held.relation = to_regclass(wanted.name)::oid
       LEFT JOIN pg_catalog.pg_stat_activity activity ON activity.pid = held.pid
       LEFT JOIN pg_catalog.pg_prepared_xacts prepared
              ON held.pid IS NULL AND held.virtualtransaction = '-1/' || prepared.transaction
      WHERE held.locktype = 'relation' AND held.mode = 'AccessExclusiveLock'
        AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND held.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
      ORDER BY held.granted DESC, wanted.name`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  );
  return rows.map(({ table, isGranted, ...who }) => ({ table, isGranted, session: withoutNulls(who) }));
}
