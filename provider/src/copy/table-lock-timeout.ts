import { LockNotAvailableError, messageOf } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { qualify } from "../postgres/identifiers.js";
import { describeHolders, type LockHolder, lockHolders, remedyAgainst } from "../postgres/locks/lock-holders.js";
import type { TableName } from "./lock-together.js";

/**
 * The error for a table of the source that cannot be read, naming the blocking sessions. A session that waits to alter
 * or truncate the table is one of them. It waits because the snapshot's holder locks the table until all rows are copied. Later
 * requests queue behind it.
 *
 * @param cause the error of the lock that was not granted
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
    // The table is reported without the holders.
  }
  const who = describeHolders(holders) || messageOf(cause);
  return new LockNotAvailableError(`${qualify(schema, name)} of ${database} cannot be read: ${who}`, {
    remedy: `do not alter or truncate a table until its rows have been copied; ${remedyAgainst(holders, "the source")}; then start again`,
    cause,
  });
}
