import type { Client } from "pg";
import { quoteLiteral } from "../identifiers.js";
import { serverVersion } from "../server-version.js";

/** A session with an open transaction that another session waits for. */
export interface BlockingSession {
  /** Undefined for a prepared transaction, which no session holds. */
  readonly pid: number | undefined;
  /** The name of a prepared transaction for ROLLBACK PREPARED. */
  readonly preparedAs: string | undefined;
  readonly transactionAgeSeconds: number | undefined;
  readonly applicationName: string | undefined;
  readonly user: string | undefined;
  readonly state: string | undefined;
  readonly queryStart: Date | undefined;
}

/**
 * Columns of {@link BlockingSession} except the process ID. `activity` is pg_stat_activity, `prepared` is
 * pg_prepared_xacts.
 */
export const sessionColumns = `
  prepared.gid AS "preparedAs",
  extract(epoch FROM clock_timestamp() - coalesce(activity.xact_start, prepared.prepared))::float8 AS "transactionAgeSeconds",
  activity.application_name AS "applicationName",
  coalesce(activity.usename, prepared.owner) AS "user",
  activity.state,
  activity.query_start AS "queryStart"`;

/** The sessions that a session currently waits for. */
export async function blockingSessions(observer: Client, waitingPid: number): Promise<BlockingSession[]> {
  // pg_blocking_pids exists from 9.6 on, and returns 0 for a prepared transaction.
  const blockers =
    (await serverVersion(observer)) >= 90600
      ? "pg_catalog.pg_blocking_pids($1)"
      : `(SELECT array_agg(held.pid) FROM pg_locks wanted JOIN pg_locks held USING (locktype, transactionid)
           WHERE wanted.pid = $1 AND NOT wanted.granted AND held.granted AND locktype = 'transactionid')`;
  const { rows } = await observer.query<Record<keyof BlockingSession, never>>(
    `SELECT nullif(blocker.pid, 0) AS pid, ${sessionColumns}
       FROM unnest(${blockers}) AS blocker (pid)
       LEFT JOIN pg_catalog.pg_stat_activity activity ON activity.pid = blocker.pid
       LEFT JOIN pg_catalog.pg_prepared_xacts prepared ON blocker.pid = 0`,
    [waitingPid],
  );
  return rows.map((row) => withoutNulls<BlockingSession>(row));
}

/** Replaces NULL by undefined in a row. */
export const withoutNulls = <Row>(row: Record<keyof Row, unknown>): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? undefined])) as unknown as Row;

/** Describes all sessions in one clause of a message. */
export function describeBlockers(sessions: readonly BlockingSession[]): string {
  if (sessions.length === 0) return "the server did not report the blocking session";
  return `it waits for ${sessions.map(describeSession).join("; ")}`;
}

export function describeSession(session: BlockingSession): string {
  const { pid, preparedAs, transactionAgeSeconds, applicationName, user, state } = session;
  const who = preparedAs === undefined ? `pid ${pid ?? "?"}` : `prepared transaction ${preparedAs}`;
  const age = transactionAgeSeconds === undefined ? "" : `, open for ${Math.round(transactionAgeSeconds)} s`;
  return `${who} (${user ?? "unknown user"}, ${applicationName ?? "unknown application"}, ${state ?? "state unknown"}${age})`;
}

/**
 * Removes ages from the text of {@link describeBlockers}, so that it changes only with the sessions or their states.
 */
export const omitAges = (text: string): string => text.replace(/, open for \d+ s/g, "");

/** The SQL statement that ends the session or the prepared transaction. */
export const endingStatement = ({ pid, preparedAs }: BlockingSession): string =>
  preparedAs === undefined
    ? `SELECT pg_terminate_backend(${pid ?? "?"})`
    : `ROLLBACK PREPARED ${quoteLiteral(preparedAs)}`;
