import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { RefusedError, messageOf } from "../../errors.js";
import { quoteLiteral } from "../identifiers.js";
import { sqlStateOf } from "../sql-state.js";

/** Default lock_timeout. */
export const lockTimeoutSeconds = 60;

/** Sets lock_timeout to {@link lockTimeoutSeconds}. */
export const limitedLockWaits = `SET lock_timeout = '${lockTimeoutSeconds}s'`;

/**
 * Sets lock_timeout for a session: later requests queue behind a waiting statement, so that no wait may be unbounded.
 * Returns the session.
 */
export async function limitLockWaits<Session extends Client>(session: Session): Promise<Session> {
  await session.query(limitedLockWaits);
  return session;
}

/** lock_not_available, deadlock_detected: the transaction was rolled back and changed nothing. */
const ungranted: ReadonlySet<string> = new Set(["55P03", "40P01"]);

/**
 * Whether a statement failed because a lock was not granted. The engine's own errors have the server's error as cause.
 */
export const isLockTimeout = (error: unknown): boolean =>
  [error, (error as { cause?: unknown }).cause].some((one) => ungranted.has(sqlStateOf(one)));

/** How to find the session that holds the lock. */
export const lockRemedy =
  "end the session that holds the lock, e.g. one of SELECT pid, relation::regclass, mode FROM pg_locks WHERE granted AND mode ~ 'Exclusive', and try again";

/** Attempts to lock one table, with pauses: half a minute. */
const lockAttempts = 28;
const pauseMs = 500;
const shortWait = "SET LOCAL lock_timeout = '500ms'";
/** Exceeds deadlock_timeout, 1 s by default, because then the server ends an autovacuum that holds the lock. */
const autovacuumWait = `SELECT pg_catalog.set_config('lock_timeout', (setting::int + 200)::text, true)
  FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'`;
/** Limits the wait of an attempt: other sessions queue behind it, so that most waits are short. */
const limitWait = (attempt: number): string => (attempt % 5 === 4 ? autovacuumWait : shortWait);
/** Maximum number of tables in one transaction. */
const tablesPerTransaction = 200;

/**
 * Alters tables while other sessions use them. It never waits for a lock while it holds another, because a deadlock
 * could end another session's transaction. If all locks are free, many tables share a transaction. Otherwise each table
 * has its own, and tables altered before an error stay altered.
 *
 * @param tables qualified and quoted
 * @param statements the statements for some of the tables; they must wait for nothing but locks
 * @throws RefusedError naming a table that stays locked for half a minute
 */
export async function alterTables(
  session: Client,
  tables: readonly string[],
  statements: (tables: readonly string[]) => readonly string[],
): Promise<void> {
  for (let first = 0; first < tables.length; first += tablesPerTransaction) {
    const some = tables.slice(first, first + tablesPerTransaction);
    if (some.length > 1 && (await alterAtOnce(session, statements(some)))) continue;
    for (const table of some) await alterTable(session, table, statements([table]));
  }
}

/** Alters one table like {@link alterTables}. */
export async function alterTable(session: Client, table: string, statements: readonly string[]): Promise<void> {
  for (let attempt = 0; ; attempt++)
    try {
      await inTransaction(session, [limitWait(attempt), ...statements]);
      return;
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (attempt === lockAttempts)
        throw new RefusedError(
          `another session holds a lock on ${table} (${statements.join("; ")}): ${messageOf(error)}`,
          {
            remedy: `end the session that holds the lock, one of SELECT pid, mode FROM pg_locks WHERE granted AND relation = ${quoteLiteral(table)}::regclass, and try again`,
            cause: error,
          },
        );
      await sleep(pauseMs);
    }
}

/** Returns false if any lock was held by another session. */
async function alterAtOnce(session: Client, statements: readonly string[]): Promise<boolean> {
  try {
    await inTransaction(session, ["SET LOCAL lock_timeout = '1ms'", ...statements]);
    return true;
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    return false;
  }
}

async function inTransaction(session: Client, statements: readonly string[]): Promise<void> {
  try {
    await session.query(["BEGIN", ...statements, "COMMIT"].join("; "));
  } catch (error) {
    // Keep the original error. A lost connection has been rolled back by the server.
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
