import type { Client, QueryResult } from "pg";
import { RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { processIdOf } from "../../postgres/connection/session.js";
import { watchOf } from "../../postgres/connection/session-watch.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { detectPlatform } from "../../platforms/detect-platform.js";
import type { SourceType } from "../../inputs/inputs.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Finding } from "../../findings.js";

/** The kind of pooler between the worker and the server. */
export type Between = "nothing" | "pooler" | "transactionPooler";

export interface Reached {
  readonly side: "source" | "target";
  readonly endpoint: Endpoint;
  readonly database: string;
  /** An open session in that database. */
  readonly session: Client;
  /** The input `sourceType`, for the source. */
  readonly sourceType?: SourceType | undefined;
}

/** A pooler may give two sessions different processes at the first check. */
const maxLooks = 3;

/**
 * Whether a session keeps its server process. A pooler in transaction mode loses the state of sessions: settings,
 * snapshots, advisory locks, prepared statements. It is detected if two sessions share a process, or if a session's
 * process changes.
 */
export async function detectPooler({ side, endpoint, database, session }: Reached): Promise<Between> {
  const other = await connect(endpoint, { database, purpose: `validate ${side}` });
  try {
    const first = firstProcessOf(session);
    const looks = isSuspected(session) ? maxLooks : 1;
    for (let look = 0; look < looks; look++) {
      if ((await processInTransaction(other)) === first || (await processOf(session)) !== first)
        return "transactionPooler";
      await other.query("COMMIT");
      if ((await processOf(session)) !== first) return "transactionPooler";
    }
    return isSuspected(session) ? "pooler" : "nothing";
  } catch (error) {
    // In statement mode a pooler refuses BEGIN.
    if (sqlStateOf(error) === sqlStates.protocolViolation) return "transactionPooler";
    throw error;
  } finally {
    await other.end();
  }
}

/**
 * Runs before anything is recorded on the target. The worker's lease is a lock of its session. A pooler would keep that
 * lock after the worker's end, and no successor could take it.
 *
 * @throws RefusedError
 */
export async function refuseTransactionPooler(target: Endpoint, session: Client): Promise<void> {
  if (!isSuspected(session)) return;
  const reached: Reached = { side: "target", endpoint: target, database: session.database!, session };
  const findings = await poolerFindings(reached, await detectPooler(reached));
  for (const { state, message, code, remedy } of findings)
    if (state === "Failed") throw new RefusedError(message, { code, ...(remedy && { remedy }) });
}

/** The server's process at the start of the session. */
const firstProcessOf = (session: Client): number => watchOf(session)!.processId;

/** Whether a session may lead through a pooler. No known pooler reports the process ID of the server's process as its own. */
export const isSuspected = (session: Client): boolean => firstProcessOf(session) !== processIdOf(session);

const readProcess = "SELECT pg_catalog.pg_backend_pid() AS pid";

async function processOf(session: Client): Promise<number> {
  const { rows } = await session.query<{ pid: number }>(readProcess);
  return rows[0]!.pid;
}

/** Leaves the transaction open. */
async function processInTransaction(session: Client): Promise<number> {
  const results = (await session.query(`BEGIN; ${readProcess}`)) as unknown as QueryResult<{ pid: number }>[];
  return results[1]!.rows[0]!.pid;
}

/** The consequences of a pooler for a migration. */
export async function poolerFindings(reached: Reached, between: Between): Promise<Finding[]> {
  if (between === "nothing") return [];
  const { side, session, sourceType } = reached;
  const { host, port } = reached.endpoint;
  const platform = await detectPlatform(session, sourceType);
  const common = {
    type: "AuthenticationAndConnectivityValidation",
    object: `${host}:${port}`,
    objectType: "Instance",
    remedy: `set host and port to those of the ${side} server itself (${platform.name}): ${platform.host}`,
  } as const;
  if (between === "pooler")
    return [
      {
        ...common,
        state: "Warning",
        code: "PGM-102",
        message: `a pooler or proxy stands between the worker and the ${side}: it hides backend process IDs, so that sessions cannot be identified or terminated`,
      },
    ];
  return [
    {
      ...common,
      state: "Failed",
      code: "PGM-102",
      message: `a pooler in transaction or statement mode stands between the worker and the ${side}: settings, snapshots and locks of a session are lost`,
    },
  ];
}
