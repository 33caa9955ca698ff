import pg from "pg";
import { UnreachableError, messageOf } from "../../errors.js";
import { isConnectionLoss } from "../../postgres/connection/connection-loss.js";

/**
 * Runs a statement, and returns the server's error if it is refused.
 *
 * @param during the activity of the session, for messages
 * @throws UnreachableError when the connection breaks
 */
export async function refused(
  session: pg.Client,
  sql: string,
  during = "the restore",
): Promise<pg.DatabaseError | undefined> {
  try {
    await session.query(sql);
    return undefined;
  } catch (error) {
    if (isConnectionLoss(error))
      throw new UnreachableError(`the connection to the target was lost during ${during}: ${messageOf(error)}`, {
        cause: error,
      });
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
}
