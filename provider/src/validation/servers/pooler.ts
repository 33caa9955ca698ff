import type { Client } from "pg";
import { RefusedError } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { Finding } from "../../findings.js";

/** What is between us and the server. */
export type Between = "nothing" | "pooler" | "transactionPooler";

export interface Reached {
  readonly side: "source" | "target";
  readonly endpoint: Endpoint;
  readonly database: string;
  /** Open to that database. */
  readonly session: Client;
}

/** A pooler need not mix up two sessions at the first look. */
const looks = 3;

/**
 * Whether a session keeps the server's process to itself. A pooler that gives processes by transactions loses what a
 * session holds: settings, snapshots, advisory locks, prepared statements. Two sessions that meet in one process, or one
 * that changes it, are the proof of that.
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
    return first === processTold(session) ? "nothing" : "pooler";
  } catch (error) {
    // In statement mode it lets nobody begin a transaction.
    if (sqlStateOf(error) === sqlStates.protocolViolation) return "transactionPooler";
    throw error;
  } finally {
    await other.end();
  }
}

/** At its login. */
const processTold = (session: Client): number | null =>
  (session as unknown as { readonly processID: number | null }).processID;

/**
 * Looked at before anything is recorded on the target: the worker's lease is a lock of its session, which a pooler would
 * keep behind the worker's end, and nobody else could have.
 *
 * @throws RefusedError
 */
export async function refuseTransactionPooler(target: Endpoint, database: string): Promise<void> {
  const session = await connect(target, { database, purpose: "look for a pooler" });
  try {
    if ((await processOf(session)) === processTold(session)) return;
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

/** What a pooler means for a migration. */
export function poolerFindings({ side, endpoint }: Reached, between: Between): Finding[] {
  if (between === "nothing") return [];
  const { host, port } = endpoint;
  const common = {
    type: "AuthenticationAndConnectivityValidation",
    object: `${host}:${port}`,
    objectType: "Instance",
    remedy:
      `name the ${side} server itself, not a pooler in front of it` +
      (port === 6432 ? `: port 5432 instead of 6432, where Azure's PgBouncer listens` : ""),
  } as const;
  if (between === "pooler")
    return [
      {
        ...common,
        state: "Warning",
        message: `a pooler or proxy stands between the worker and the ${side}: sessions that have to be ended, or are told from others, are not known by their process there`,
      },
    ];
  return [
    {
      ...common,
      state: "Failed",
      code: "603000",
      message: `a pooler in transaction or statement mode stands between the worker and the ${side}: settings, snapshots and locks of a session are lost on the way`,
    },
  ];
}
