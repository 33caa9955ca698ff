import type { Client } from "pg";
import {
  type BlockingSession,
  describeSession,
  endingStatement,
  sessionColumns,
  withoutNulls,
} from "./blocking-sessions.js";
import { currentRelation } from "../current-relation.js";

/** Who keeps even readers from a table. */
export interface LockHolder {
  /** Qualified and quoted. */
  readonly table: string;
  /** False for one that waits for its lock itself: whoever comes behind it waits, too. */
  readonly isGranted: boolean;
  readonly session: BlockingSession;
}

/**
 * Other sessions, and prepared transactions, that have or await ACCESS EXCLUSIVE on tables of the session's database at this
 * moment: on these, or on any. A session under a snapshot sees them as they are now, too.
 */
export async function lockHolders(
  session: Client,
  tables?: readonly { readonly schema: string; readonly name: string }[],
): Promise<LockHolder[]> {
  // What pg_stat_activity has told once, it tells again for as long as the transaction lasts.
  await session.query("SELECT pg_catalog.pg_stat_clear_snapshot()");
  const named = await currentRelation(session, "format('%I.%I', wanted.schema, wanted.name)");
  const { rows } = await session.query<{ table: string; isGranted: boolean } & Record<keyof BlockingSession, never>>(
    `SELECT held.relation::regclass::text AS "table", held.granted AS "isGranted", held.pid, ${sessionColumns}
       FROM pg_catalog.pg_locks held
       LEFT JOIN pg_catalog.pg_stat_activity activity ON activity.pid = held.pid
       LEFT JOIN pg_catalog.pg_prepared_xacts prepared
              ON held.pid IS NULL AND held.virtualtransaction = '-1/' || prepared.transaction
      WHERE held.locktype = 'relation' AND held.mode = 'AccessExclusiveLock'
        AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND held.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
        AND ($1::text[] IS NULL OR held.relation IN (
              SELECT ${named}
                FROM unnest($1::text[], $2::text[]) AS wanted (schema, name)))
      ORDER BY held.granted DESC, 1`,
    tables ? [tables.map(({ schema }) => schema), tables.map(({ name }) => name)] : [null, null],
  );
  return rows.map(({ table, isGranted, ...who }) => ({
    table,
    isGranted,
    session: withoutNulls<BlockingSession>(who),
  }));
}

const mostNamed = 5;

/** Which table is locked by whom, for people. */
export function describeHolders(holders: readonly LockHolder[]): string {
  const lines = holders.slice(0, mostNamed).map(({ table, isGranted, session }) => {
    const how = isGranted ? "is locked" : "is about to be locked";
    return `${table} ${how} by ${describeSession(session)}`;
  });
  const more = holders.length > mostNamed ? [`${holders.length - mostNamed} more`] : [];
  return [...lines, ...more].join("; ");
}

/** How to have them give way on a server. */
export function remedyAgainst(holders: readonly LockHolder[], where: string): string {
  const statements = [...new Set(holders.map(({ session }) => endingStatement(session)))].slice(0, mostNamed);
  if (statements.length === 0) return `see in pg_locks on ${where} who takes ACCESS EXCLUSIVE locks`;
  return `have them end their transactions, or on ${where}: ${statements.join("; ")}`;
}
