import { UnreachableError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { parameterCommands } from "../../platforms/platform.js";
import { platformOfHost } from "../../platforms/platforms.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { StreamRoles } from "../model/stream-roles.js";

/** The server's lock table is too small for a transaction. The transaction succeeds after the setting was raised. */
export class LockTableFull extends UnreachableError {}

/** The server names the setting in its hint, in every language. */
export const isLockTableFull = (error: unknown): boolean =>
  sqlStateOf(error) === sqlStates.outOfMemory &&
  /max_locks_per_transaction/.test((error as { hint?: string }).hint ?? "");

/** Names the setting, and a value with which one transaction can lock all existing tables. */
export async function lockTableFull(
  subscriber: Endpoint,
  database: string,
  parts: StreamRoles,
  cause: unknown,
): Promise<LockTableFull> {
  const session = await connect(subscriber, { database, purpose: "look at settings" });
  const { rows } = await session
    .query<{ present: number; sessions: number; relations: number }>(
      `SELECT current_setting('max_locks_per_transaction')::int AS present,
              current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int AS sessions,
              (SELECT count(*)::int FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'i', 'I', 't') AND oid >= 16384) AS relations`,
    )
    .finally(() => session.end());
  const { present, sessions, relations } = rows[0]!;
  const wanted = Math.max(2 * present, present + Math.ceil(relations / sessions));
  const commands = parameterCommands(platformOfHost(subscriber), [
    { name: "max_locks_per_transaction", value: String(wanted) },
  ]);
  const where = `the ${parts.subscriber} ${subscriber.host}:${subscriber.port}`;
  return new LockTableFull(
    `a transaction changes more tables than ${where} can lock at the same time. It is retried: ${messageOf(cause)}`,
    {
      remedy: `raise max_locks_per_transaction on ${where} from ${present} to ${wanted} or more: ${commands}; the ${parts.stream} then resumes`,
      cause,
    },
  );
}
