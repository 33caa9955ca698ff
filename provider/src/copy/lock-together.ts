import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { LockNotAvailableError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { omitAges } from "../postgres/locks/blocking-sessions.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { qualify } from "../postgres/identifiers.js";
import { describeHolders, type LockHolder, lockHolders, remedyAgainst } from "../postgres/locks/lock-holders.js";
import { isLockTimeout, lockTimeoutSeconds } from "../postgres/locks/lock-waits.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { Table } from "../postgres/tables.js";
import { cancellation } from "./cancellation.js";

export type TableName = Pick<Table, "schema" | "name">;

export interface LockOptions {
  /** Told who holds tables up, each time that it is others, in words. */
  readonly onWaiting?: ((holders: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long to try; a minute by default. */
  readonly seconds?: number;
}

/** Tables per LOCK TABLE: a statement of some hundred kilobytes at most. */
const tablesPerLock = 1000;
/** Between two tries nothing is locked, and whoever waits for one of the tables gets it. */
const pauseMs = 500;

const what = "locking the tables to copy";

/**
 * Locks tables in ACCESS SHARE mode in a transaction that there is: all of them at once, and again in a while where one
 * cannot be had. It never waits for one table while it holds another, as whoever has altered the one and goes on to the
 * other would wait for us, and we for him.
 *
 * @returns the tables, qualified and quoted, among which is one that is gone; nothing is locked then
 * @throws LockNotAvailableError where others keep one locked for all of the time, naming them
 * @throws RefusedError where the role may not, or the server has no room for so many locks
 */
export async function lockTogether(
  session: Client,
  tables: readonly TableName[],
  { onWaiting, signal, seconds = lockTimeoutSeconds }: LockOptions = {},
): Promise<readonly string[]> {
  const deadline = Date.now() + seconds * 1000;
  let told = "";
  for (;;) {
    const { error, among } = await tryToLock(session, tables);
    if (error === undefined || sqlStateOf(error) === sqlStates.undefinedTable) return among;
    if (signal?.aborted) throw cancellation(what, signal);
    if (!isLockTimeout(error)) throw await lockFailure(session, error, tables);
    const holders = await lockHolders(session, tables);
    if (Date.now() >= deadline) throw stayLocked(holders, seconds, error);
    const said = describeHolders(holders);
    const who = omitAges(said);
    if (who !== told && who !== "") onWaiting?.(said);
    told = who;
    // What it was aborted by is told behind the next try.
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Where it fails, nothing is locked, and the transaction goes on. */
async function tryToLock(
  session: Client,
  tables: readonly TableName[],
): Promise<{ readonly error?: unknown; readonly among: readonly string[] }> {
  let among: string[] = [];
  try {
    await session.query("SAVEPOINT lock_together");
    for (let first = 0; first < tables.length; first += tablesPerLock) {
      among = tables.slice(first, first + tablesPerLock).map(({ schema, name }) => qualify(schema, name));
      await session.query(`LOCK TABLE ${among.map((name) => `ONLY ${name}`).join(", ")} IN ACCESS SHARE MODE NOWAIT`);
    }
    await session.query("RELEASE SAVEPOINT lock_together");
    return { among: [] };
  } catch (error) {
    if (isConnectionLoss(error)) throw new UnreachableError(`locking tables: ${messageOf(error)}`, { cause: error });
    await session.query("ROLLBACK TO SAVEPOINT lock_together; RELEASE SAVEPOINT lock_together");
    return { error, among };
  }
}

const stayLocked = (holders: readonly LockHolder[], seconds: number, cause: unknown): LockNotAvailableError =>
  // Who was in the way may have gone just now.
  new LockNotAvailableError(
    `the tables to copy could not be locked against ALTER and TRUNCATE for ${seconds} s: ${describeHolders(holders) || messageOf(cause)}`,
    { remedy: `${remedyAgainst(holders, "the source")}; then start again`, cause },
  );

async function lockFailure(session: Client, cause: unknown, tables: readonly TableName[]): Promise<RefusedError> {
  return new RefusedError(`the tables to copy cannot be locked against ALTER and TRUNCATE: ${messageOf(cause)}`, {
    remedy:
      sqlStateOf(cause) === sqlStates.outOfMemory
        ? await moreLocks(session, tables.length)
        : "GRANT SELECT on the tables, and USAGE on their schemas, to the source's role",
    cause,
  });
}

/**
 * Each session that copies, the dump, and whoever else keeps the snapshot has a lock on each table, beside the
 * applications' own.
 */
const locksPerTable = 4;

async function moreLocks(session: Client, tables: number): Promise<string> {
  const { rows } = await session.query<{ present: number; sessions: number }>(
    `SELECT current_setting('max_locks_per_transaction')::int AS present,
            current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int AS sessions`,
  );
  const { present, sessions } = rows[0]!;
  const wanted = Math.max(2 * present, Math.ceil((locksPerTable * tables) / sessions));
  return (
    `raise max_locks_per_transaction on the source ${session.host}:${session.port} from ${present} to ${wanted} or more and ` +
    "restart it; ALTER SYSTEM SET, or the server's parameters where it is managed"
  );
}
