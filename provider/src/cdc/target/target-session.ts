import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { byteSettings } from "../../postgres/connection/pass-bytes.js";
import { searchPathFor } from "../../postgres/search-path.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import { migrationRoles, type StreamRoles } from "../model/stream-roles.js";

/**
 * Few staged rows meet tables of any size: the way is a scan of the few and an index look-up for each. The planner knows
 * no statistics of a temporary table and would now and then read the whole table instead.
 */
const settings: Readonly<Record<string, string>> = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
  temp_buffers: "32MB",
  // A batch is sorted by its key, of wide rows too, without a file.
  work_mem: "32MB",
  // What is confirmed to the source is forgotten there, so it has to be durable here, whatever the database has set.
  synchronous_commit: "on",
  // A backend whose client is gone gives up its locks although it waits itself.
  client_connection_check_interval: "5s",
};

export const applyingPurpose = "apply changes";

export interface TargetSessionOptions {
  /** The target has no triggers and no foreign keys yet, so that the session need not be a replica's. */
  readonly triggersDisabled?: boolean | undefined;
  /**
   * For the functions of checks and generated columns, which may name what they use without a schema; as of
   * useSearchPath.
   */
  readonly searchPath?: string | undefined;
  /** As messages name the server; a migration's target by default. */
  readonly parts?: StreamRoles | undefined;
}

/**
 * A session in which changes are applied as they are: no triggers, no foreign key checks, as in a replica.
 *
 * @throws RefusedError when the role may not have that
 */
export async function openTargetSession(
  target: Endpoint,
  database: string,
  { triggersDisabled = false, searchPath = "", parts: { subscriber } = migrationRoles }: TargetSessionOptions = {},
): Promise<Client> {
  const client = await connect(target, { database, purpose: applyingPurpose });
  try {
    if (!triggersDisabled) await becomeReplica(client, database, subscriber);
    const { rows } = await client.query<{ role: string }>(
      `SELECT pg_catalog.set_config(wanted.key, wanted.value, false), current_setting('session_replication_role') AS role
         FROM (SELECT key, value FROM pg_catalog.json_each_text($1) UNION ALL ${byteSettings}) AS wanted
         JOIN pg_catalog.pg_settings AS known ON known.name = wanted.key`,
      [JSON.stringify({ ...settings, search_path: searchPathFor(searchPath) })],
    );
    const { role } = rows[0]!;
    if (!triggersDisabled && role !== "replica") throw noReplica(client, database, subscriber, `it is still ${role}`);
    return client;
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** Whether this session's role may apply changes as a replica does: tried, since a privilege alone proves nothing. */
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

/** Set after connecting, since it may be refused as a start-up option; to be looked at, since a pooler may forget it. */
async function becomeReplica(client: Client, database: string, subscriber: StreamRoles["subscriber"]): Promise<void> {
  try {
    await client.query("SET session_replication_role = replica");
  } catch (cause) {
    if (sqlStateOf(cause) !== sqlStates.insufficientPrivilege) throw cause;
    throw noReplica(client, database, subscriber, messageOf(cause), cause);
  }
}

const noReplica = (
  { user }: Client,
  database: string,
  subscriber: StreamRoles["subscriber"],
  said: string,
  cause?: unknown,
): RefusedError =>
  new RefusedError(
    `the ${subscriber} does not let ${user ?? "the role"} set session_replication_role in ${database} (${said})`,
    {
      remedy: `GRANT SET ON PARAMETER session_replication_role TO ${user ?? "<role>"} as a superuser (15+), or use the server's administrator`,
      code: "603113",
      cause,
    },
  );
