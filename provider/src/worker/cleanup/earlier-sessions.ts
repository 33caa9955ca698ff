import { createHash } from "node:crypto";
import pg, { type Client } from "pg";
import { Refused, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";
import { applicationNamePrefix, bearerSign, connect, type Endpoint } from "../../postgres/connection/connect.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";

/**
 * Whose sessions they are: of which migration, told apart from all of its name by when it began, and of which worker of
 * it.
 */
export interface Bearer {
  readonly migration: string;
  /** As the records have it. */
  readonly startedAt: string;
  readonly generation: number;
}

/** What the sessions' names end with: short, since a name has room for 63 bytes. */
export const bearerName = (bearer: Bearer): string => `${digestOf(bearer)}.${bearer.generation}`;

/** What those end with of a process that shares the copies of such a worker: they may outlive it, and end by themselves. */
export const helperName = (bearer: Bearer): string => `${bearerName(bearer)}h`;

const digestOf = ({ migration, startedAt }: Bearer): string =>
  createHash("sha256")
    .update(JSON.stringify([migration, startedAt]))
    .digest("hex")
    .slice(0, 8);

export interface EndedSessions {
  readonly ended: number;
  /** Why some go on. */
  readonly refused: readonly string[];
}

export interface WhichSessions {
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
  bearer: Bearer,
  { spareSnapshotsIn = [], helpers = false, onlyIn }: WhichSessions = {},
): Promise<EndedSessions> {
  const { rows } = await session.query<{ pid: number }>(
    `SELECT pid FROM (SELECT pid, datname, split_part(application_name, $1, 1) AS purpose, split_part(application_name, $1, 2) AS bearer
                        FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid()) AS one
      WHERE purpose LIKE $2 AND bearer ~ ('^' || $3 || '\\.[0-9]{1,15}' || $8 || '$') AND NOT (purpose = $5 AND datname = ANY ($6)) AND datname = coalesce($7, datname)
        AND (CASE WHEN bearer ~ '\\.[0-9]{1,15}h?$' THEN rtrim(split_part(bearer, '.', 2), 'h')::bigint END) < $4`,
    [
      bearerSign,
      `${applicationNamePrefix}%`,
      digestOf(bearer),
      bearer.generation,
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
export interface Told {
  readonly message: string;
  readonly level: "info" | "warning";
}

/**
 * As {@link endEarlierSessions}, on a server that may not be there, or not let it: that is told, and whoever comes has
 * to wait.
 */
export async function endEarlierSessionsOn(
  { name, endpoint, database }: Side,
  bearer: Bearer,
  which: WhichSessions = {},
): Promise<readonly Told[]> {
  try {
    const session = await connect(endpoint, { database, purpose: `${bearer.migration} take over` });
    const { ended, refused } = await endEarlierSessions(session, bearer, which).finally(() => session.end());
    const told: Told[] = [];
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
    if (!(error instanceof Refused || error instanceof pg.DatabaseError || isConnectionLoss(error))) throw error;
    const message = `an earlier worker's sessions on the ${name} cannot be looked for: ${messageOf(error)}`;
    return [{ message, level: "warning" }];
  }
}
