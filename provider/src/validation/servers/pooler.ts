import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import { processIdOf } from "../../postgres/connection/session.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
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
}

/** A pooler may give two sessions different processes at the first check. */
const looks = 3;

/**
 * Whether a session keeps its server process. A pooler in transaction mode loses the state of sessions: settings,
 * snapshots, advisory locks, prepared statements. It is detected if two sessions share a process, or if a session's
 * process changes.
 */
export async function detectPooler({ side, endpoint, database, session }: Reached): Promise<Between> {
  const other = await connect(endpoint, { database, purpose: `validate ${side}` });
  try {
    const first = await processOf(session);
    for (let look = 0; look < looks; look++) {
      await other.query("BEGIN");
      if ((await processOf(other)) === first || (await processOf(session)) !== first) return "transactionPooler";
      await other.query("COMMIT");
      if ((await processOf(session)) !== first) return "transactionPooler";
    }
    return first === processIdOf(session) ? "nothing" : "pooler";
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
export async function refuseTransactionPooler(target: Endpoint, database: string): Promise<void> {
  const session = await connect(target, { database, purpose: "look for a pooler" });
  try {
    if ((await processOf(session)) === processIdOf(session)) return;
    const reached: Reached = { side: "target", endpoint: target, database, session };
    for (const { state, message, code, remedy } of poolerFindings(reached, await detectPooler(reached)))
      if (state === "Failed") throw new RefusedError(message, { ...(code && { code }), ...(remedy && { remedy }) });
  } finally {
    await session.end();
  }
}

async function processOf(session: Client): Promise<number> {
  const { rows } = await session.query<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid");
  return rows[0]!.pid;
}

/** The consequences of a pooler for a migration. */
export function poolerFindings({ side, endpoint }: Reached, between: Between): Finding[] {
  if (between === "nothing") return [];
  const { host, port } = endpoint;
  const common = {
    type: "AuthenticationAndConnectivityValidation",
    object: `${host}:${port}`,
    objectType: "Instance",
    remedy:
      `set host and port to those of the ${side} server itself, not of a pooler in front of it` +
      (port === 6432 ? `: port 5432 instead of 6432, where Azure's PgBouncer listens` : ""),
  } as const;
  if (between === "pooler")
    return [
      {
        ...common,
        state: "Warning",
        message: `a pooler or proxy stands between the worker and the ${side}: it hides backend process IDs, so that sessions cannot be identified or terminated`,
      },
    ];
  return [
    {
      ...common,
      state: "Failed",
      code: "603000",
      message: `a pooler in transaction or statement mode stands between the worker and the ${side}: settings, snapshots and locks of a session are lost`,
    },
  ];
}
