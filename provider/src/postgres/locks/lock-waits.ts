import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { sqlStateOf } from "../sql-state.js";

/** How long a statement waits for a lock where nothing else is said. */
export const lockTimeoutSeconds = 60;

/**
 * Has a session's statements give up on a lock that somebody else holds on: while applications wait, nothing may wait
 * for ever. Answers the session.
 */
export async function limitLockWaits<Session extends Client>(session: Session): Promise<Session> {
  await session.query(`SET lock_timeout = '${lockTimeoutSeconds}s'`);
  return session;
}

/** lock_not_available, deadlock_detected: the transaction was rolled back, and has done nothing. */
const ungranted: ReadonlySet<string> = new Set(["55P03", "40P01"]);

/** Whether a statement failed because a lock was not granted, in that time or ever; ours wrap the server's error. */
export const isLockTimeout = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) => ungranted.has(sqlStateOf(one)));

/** How to find whom a statement has waited for. */
export const lockRemedy =
  "end the session that holds the lock, e.g. one of SELECT pid, relation::regclass, mode FROM pg_locks WHERE granted AND mode ~ 'Exclusive', and try again";

/**
 * How long the tries to lock one table wait, in seconds. Each a while longer, since whoever comes behind it waits too;
 * in between they go ahead.
 */
const waitsSeconds = [1, 2, 4, 8, 15];
const pauseMs = 300;
/** Tables of one transaction where nobody is in the way. */
const mostTogether = 200;

/**
 * Alters tables beside the sessions that work with them, without ever waiting for one while it holds another: a
 * deadlock might end somebody else's transaction. Many together where all can be locked at once, else each in a
 * transaction of its own: what was altered before an error stays.
 *
 * @param tables qualified and quoted
 * @param statements what to run for some of them, without waits but for their locks
 * @throws RefusedError when one stays locked for half a minute, naming it
 */
export async function alterTables(
  session: Client,
  tables: readonly string[],
  statements: (tables: readonly string[]) => readonly string[],
): Promise<void> {
  for (let first = 0; first < tables.length; first += mostTogether) {
    const some = tables.slice(first, first + mostTogether);
    if (some.length > 1 && (await alterAtOnce(session, statements(some)))) continue;
    for (const table of some) await alterTable(session, table, statements([table]));
  }
}

/** As {@link alterTables}, one table. */
export async function alterTable(session: Client, table: string, statements: readonly string[]): Promise<void> {
  for (const [attempt, seconds] of waitsSeconds.entries())
    try {
      await inTransaction(session, `${seconds}s`, statements);
      return;
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (attempt === waitsSeconds.length - 1)
        throw new RefusedError(
          `${table} stays locked by somebody else (${statements.join("; ")}): ${messageOf(error)}`,
          {
            remedy: lockRemedy,
            cause: error,
          },
        );
      await sleep(pauseMs);
    }
}

/** Whether every lock was free. */
async function alterAtOnce(session: Client, statements: readonly string[]): Promise<boolean> {
  try {
    await inTransaction(session, "1ms", statements);
    return true;
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    return false;
  }
}

async function inTransaction(session: Client, lockTimeout: string, statements: readonly string[]): Promise<void> {
  try {
    await session.query(["BEGIN", `SET LOCAL lock_timeout = '${lockTimeout}'`, ...statements, "COMMIT"].join("; "));
  } catch (error) {
    // The error is the one to tell; a connection that is lost has rolled back.
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
