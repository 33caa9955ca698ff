import { UnreachableError, messageOf } from "../../errors.js";
import { connect } from "../../postgres/connection/connect.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { sqlStateOf, sqlStates } from "../../postgres/sql-state.js";
import type { StreamRoles } from "../model/stream-roles.js";

/** A server has no room left for the locks of a transaction, which is applied whole: it passes with another setting. */
export class LockTableFull extends UnreachableError {}

/** What the server cannot do without that setting it names in its hint, in every language. */
export const isLockTableFull = (error: unknown): boolean =>
  sqlStateOf(error) === sqlStates.outOfMemory &&
  /max_locks_per_transaction/.test((error as { hint?: string }).hint ?? "");

/** Says which setting, and which value lets a transaction lock every table that is there. */
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
  const where = `the ${parts.subscriber} ${subscriber.host}:${subscriber.port}`;
  return new LockTableFull(
    `a transaction changes more tables than ${where} can lock at a time, and is tried again: ${messageOf(cause)}`,
    {
      remedy: `raise max_locks_per_transaction on ${where} from ${present} to ${wanted} or more, by ALTER SYSTEM SET or, where it is managed (Azure), among its server parameters, and restart it; the ${parts.stream} then goes on`,
      cause,
    },
  );
}
