import pg, { type Client } from "pg";
import { applyingPurpose } from "../../cdc/target/target-session.js";
import { RefusedError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { applicationNamePrefix, ownerSeparator } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { purposeOfHelper } from "../comparison/helper-watch.js";
import { digestOf, type SessionOwner } from "../context/session-owner.js";

export interface EndedSessionCount {
  readonly ended: number;
  /** Errors of sessions that could not be terminated. */
  readonly refused: readonly string[];
}

export interface SessionSelection {
  /** Databases whose snapshots are kept, because a copy may resume under them. */
  readonly spareSnapshotsIn?: readonly string[];
  /** Whether sessions of copy helpers are terminated, too. */
  readonly helpers?: boolean;
  /** Limits the search to one database. */
  readonly onlyIn?: string;
}

/**
 * Terminates the sessions of earlier generations in all databases of a server. A suspended or disconnected worker otherwise
 * keeps its locks and snapshots. A killed worker keeps those of its running statement.
 */
export async function endEarlierSessions(
  session: Client,
  owner: SessionOwner,
  { spareSnapshotsIn = [], helpers = false, onlyIn }: SessionSelection = {},
): Promise<EndedSessionCount> {
  const { rows } = await session.query<{ pid: number }>(
    `SELECT pid FROM (SELECT pid, datname, split_part(application_name, $1, 1) AS purpose, split_part(application_name, $1, 2) AS owner
                        FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid()) AS one
      WHERE purpose LIKE $2 AND owner ~ ('^' || $3 || '\\.[0-9]{1,15}' || CASE WHEN purpose LIKE $9 OR purpose = $10 THEN 'h?' ELSE $8 END || '$') AND NOT (purpose = $5 AND datname = ANY ($6)) AND datname = coalesce($7, datname)
        AND (CASE WHEN owner ~ '\\.[0-9]{1,15}h?$' THEN rtrim(split_part(owner, '.', 2), 'h')::bigint END) < $4`,
    [
      ownerSeparator,
      `${applicationNamePrefix}%`,
      digestOf(owner),
      owner.generation,
      `${applicationNamePrefix}snapshot`,
      spareSnapshotsIn,
      onlyIn ?? null,
      helpers ? "h?" : "",
      // The snapshot of a comparison ends with its leader, in contrast to that of a copy.
      `${applicationNamePrefix}${purposeOfHelper("_".repeat(8), "%")}`,
      // A stream that the earlier worker had lent.
      applicationNamePrefix + applyingPurpose,
    ],
  );
  const refused: string[] = [];
  for (const { pid } of rows)
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]).catch((error: unknown) => {
      if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
      refused.push(`session ${pid}: ${messageOf(error)}`);
    });
  return { ended: rows.length - refused.length, refused };
}

export interface Side {
  readonly name: "source" | "target";
  readonly endpoint: Endpoint;
  /** The database to connect to. Sessions of all databases are found. */
  readonly database: string;
}

/** A line for the log about sessions of an earlier worker. */
export interface SessionCleanupReport {
  readonly message: string;
  readonly level: "info" | "warning";
}

/**
 * Connects to a server and calls {@link endEarlierSessions}. An unreachable server or a missing privilege is reported, and
 * this worker then waits for the sessions.
 */
export async function endEarlierSessionsOn(
  { name, endpoint, database }: Side,
  owner: SessionOwner,
  which: SessionSelection = {},
): Promise<readonly SessionCleanupReport[]> {
  try {
    const { ended, refused } = await withSession(
      endpoint,
      { database, purpose: `${owner.migration} take over` },
      (session) => endEarlierSessions(session, owner, which),
    );
    const reports: SessionCleanupReport[] = [];
    if (ended > 0)
      reports.push({
        message: `terminated ${ended} sessions of an earlier worker on the ${name}`,
        level: "info",
      });
    if (refused.length > 0)
      reports.push({
        message: `sessions of an earlier worker are still open on the ${name}: ${refused.join("; ")}`,
        level: "warning",
      });
    return reports;
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof pg.DatabaseError || isConnectionLoss(error))) throw error;
    const message = `cannot look for sessions of an earlier worker on the ${name}: ${messageOf(error)}`;
    return [{ message, level: "warning" }];
  }
}
