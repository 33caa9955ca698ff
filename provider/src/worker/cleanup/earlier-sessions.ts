import pg, { type Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { applicationNamePrefix, ownerSeparator, connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { digestOf, type SessionOwner } from "../context/session-owner.js";

export interface EndedSessionCount {
  readonly ended: number;
  /** Why some go on. */
  readonly refused: readonly string[];
}

export interface SessionSelection {
  /** Databases whose snapshots somebody may go on under, which are left. */
  readonly spareSnapshotsIn?: readonly string[];
  /** Those of processes that have shared its copies, too. */
  readonly helpers?: boolean;
  /** The only database to look at. */
  readonly onlyIn?: string;
}

/**
 * Ends, in all databases of a server, what workers of earlier generations have left open: one that is stopped or cut off
 * keeps its locks and snapshots for as long as nobody does, and one that was killed those of the statement that still runs.
 */
export async function endEarlierSessions(
  session: Client,
  owner: SessionOwner,
  { spareSnapshotsIn = [], helpers = false, onlyIn }: SessionSelection = {},
): Promise<EndedSessionCount> {
  const { rows } = await session.query<{ pid: number }>(
    `SELECT pid FROM (SELECT pid, datname, split_part(application_name, $1, 1) AS purpose, split_part(application_name, $1, 2) AS owner
                        FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid()) AS one
      WHERE purpose LIKE $2 AND owner ~ ('^' || $3 || '\\.[0-9]{1,15}' || $8 || '$') AND NOT (purpose = $5 AND datname = ANY ($6)) AND datname = coalesce($7, datname)
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
  /** To connect to; sessions are looked for in all of them. */
  readonly database: string;
}

/** What has become of an earlier worker's sessions, for people. */
export interface SessionCleanupReport {
  readonly message: string;
  readonly level: "info" | "warning";
}

/**
 * As {@link endEarlierSessions}, on a server that may not be there, or not let it: that is told, and whoever comes has
 * to wait.
 */
export async function endEarlierSessionsOn(
  { name, endpoint, database }: Side,
  owner: SessionOwner,
  which: SessionSelection = {},
): Promise<readonly SessionCleanupReport[]> {
  try {
    const session = await connect(endpoint, { database, purpose: `${owner.migration} take over` });
    const { ended, refused } = await endEarlierSessions(session, owner, which).finally(() => session.end());
    const told: SessionCleanupReport[] = [];
    if (ended > 0)
      told.push({
        message: `sessions that an earlier worker had left on the ${name} were ended: ${ended}`,
        level: "info",
      });
    if (refused.length > 0)
      told.push({
        message: `an earlier worker's sessions on the ${name} go on: ${refused.join("; ")}`,
        level: "warning",
      });
    return told;
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof pg.DatabaseError || isConnectionLoss(error))) throw error;
    const message = `an earlier worker's sessions on the ${name} cannot be looked for: ${messageOf(error)}`;
    return [{ message, level: "warning" }];
  }
}
