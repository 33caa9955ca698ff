import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { byteSettings } from "../../postgres/connection/pass-bytes.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";

/**
 * A few staged rows are joined with tables of any size. The best plan scans the staged rows and looks up each in an index. The
 * planner has no statistics of temporary tables and would sometimes scan the whole table instead.
 */
const settings: Readonly<Record<string, string>> = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
  temp_buffers: "32MB",
  // Sorts a batch by its key in memory, even with wide rows.
  work_mem: "32MB",
  // The source forgets confirmed changes, so they must be durable on the target, independently of the database's setting.
  synchronous_commit: "on",
  // A backend that waits for a lock ends when its client is gone, and releases its own locks.
  client_connection_check_interval: "5s",
};

export const applyingPurpose = "apply changes";

export interface TargetSessionOptions {
  /** The target has no triggers and no foreign keys yet, so session_replication_role need not be set. */
  readonly triggersDisabled?: boolean | undefined;
  /** The server's name in messages; by default a migration's target. */
  readonly parts?: StreamRoles | undefined;
}

/**
 * Opens a session that applies changes without triggers and foreign key checks (session_replication_role = replica).
 *
 * @throws RefusedError if the role may not set session_replication_role
 */
export async function openTargetSession(
  target: Endpoint,
  database: string,
  { triggersDisabled = false, parts: { subscriber } = migrationRoles }: TargetSessionOptions = {},
): Promise<Client> {
  const client = await connect(target, { database, purpose: applyingPurpose });
  try {
    if (!triggersDisabled) await becomeReplica(client, database, subscriber);
    const { rows } = await client.query<{ role: string }>(
      `SELECT pg_catalog.set_config(wanted.key, wanted.value, false), current_setting('session_replication_role') AS role
         FROM (SELECT key, value FROM pg_catalog.json_each_text($1) UNION ALL ${byteSettings}) AS wanted
         JOIN pg_catalog.pg_settings AS known ON known.name = wanted.key`,
      [JSON.stringify(settings)],
    );
    const { role } = rows[0]!;
    if (!triggersDisabled && role !== "replica")
      throw replicaRoleRefused(client, database, subscriber, { reason: `it is still ${role}` });
    return client;
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** Whether the session's role may set session_replication_role. It tries, because the privileges do not show it reliably. */
export async function mayBecomeReplica(session: Client): Promise<boolean> {
  await session.query("BEGIN");
  try {
    await session.query("SET LOCAL session_replication_role = replica");
    return true;
  } catch (error) {
    if (sqlStateOf(error) !== sqlStates.insufficientPrivilege) throw error;
    return false;
  } finally {
    await session.query("ROLLBACK");
  }
}

/** Set after connecting, because a server may refuse it as a start-up option. Check it later: a pooler may reset it. */
async function becomeReplica(client: Client, database: string, subscriber: StreamRoles["subscriber"]): Promise<void> {
  try {
    await client.query("SET session_replication_role = replica");
  } catch (cause) {
    if (sqlStateOf(cause) !== sqlStates.insufficientPrivilege) throw cause;
    throw replicaRoleRefused(client, database, subscriber, { reason: messageOf(cause), cause });
  }
}

const replicaRoleRefused = (
  { user }: Client,
  database: string,
  subscriber: StreamRoles["subscriber"],
  { reason, cause }: { readonly reason: string; readonly cause?: unknown },
): RefusedError =>
  new RefusedError(
    `the ${subscriber} does not let ${user ?? "the role"} set session_replication_role in ${database} (${reason})`,
    {
      remedy: `run GRANT SET ON PARAMETER session_replication_role TO ${user ?? "<role>"} as a superuser (15+), or use the server's administrator`,
      code: "PGM-306",
      cause,
    },
  );
