import { LockNotAvailableError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { qualify } from "../postgres/identifiers.js";
import { describeHolders, type LockHolder, lockHolders, remedyAgainst } from "../postgres/locks/lock-holders.js";
import type { TableName } from "./lock-together.js";

/**
 * Names who keeps the source's table from being read, as one does who waits to alter or truncate it: the snapshot's
 * holder has it locked until all rows are copied, and everybody else waits behind.
 *
 * @param cause what was not granted
 */
export async function tableLockTimeout(
  source: Endpoint,
  database: string,
  { schema, name }: TableName,
  cause: unknown,
): Promise<LockNotAvailableError> {
  let holders: readonly LockHolder[] = [];
  try {
    const session = await connect(source, { database, purpose: "look at locks" });
    holders = await lockHolders(session, [{ schema, name }]).finally(() => session.end());
  } catch {
    // The cause is the one to tell.
  }
  const who = describeHolders(holders) || messageOf(cause);
  return new LockNotAvailableError(`${qualify(schema, name)} of ${database} cannot be read: ${who}`, {
    remedy: `alter and truncate no table until its rows have been copied; ${remedyAgainst(holders, "the source")}; then start again`,
    cause,
  });
}
