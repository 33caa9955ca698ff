import type { Client } from "pg";
import {
  type BlockingSession,
  describeSession,
  endingStatement,
  sessionColumns,
  withoutNulls,
} from "./blocking-sessions.js";
import { currentRelation } from "../current-relation.js";

/** A session that blocks even readers of a table. */
export interface LockHolder {
  /** Qualified and quoted. */
  readonly table: string;
  /** False if it still waits for its lock: later requests queue behind it. */
  readonly isGranted: boolean;
  readonly session: BlockingSession;
}

/**
 * Other sessions and prepared transactions that hold or await ACCESS EXCLUSIVE on the given tables of the session's
 * database, or on any table. Works under a snapshot as well, because pg_locks shows the current state.
 */
export async function lockHolders(
  session: Client,
  tables?: readonly { readonly schema: string; readonly name: string }[],
): Promise<LockHolder[]> {
  // pg_stat_activity is otherwise cached until the end of the transaction.
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

const maxNamed = 5;

/** Lists the locked tables with their sessions, for messages. */
export function describeHolders(holders: readonly LockHolder[]): string {
  const lines = holders.slice(0, maxNamed).map(({ table, isGranted, session }) => {
    const how = isGranted ? "is locked" : "is about to be locked";
    return `${table} ${how} by ${describeSession(session)}`;
  });
  const more = holders.length > maxNamed ? [`${holders.length - maxNamed} more`] : [];
  return [...lines, ...more].join("; ");
}

/** Explains how to release the locks on a server. */
export function remedyAgainst(holders: readonly LockHolder[], where: string): string {
  const statements = [...new Set(holders.map(({ session }) => endingStatement(session)))].slice(0, maxNamed);
  if (statements.length === 0) return `find the sessions that take ACCESS EXCLUSIVE locks in pg_locks on ${where}`;
  return `wait until they end their transactions, or run on ${where}: ${statements.join("; ")}`;
}
