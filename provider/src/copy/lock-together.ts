import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { LockNotAvailableError, RefusedError, UnreachableError, messageOf } from "../errors.js";
import { omitAges } from "../postgres/locks/blocking-sessions.js";
import { isConnectionLoss } from "../postgres/connection/connection-loss.js";
import { qualify } from "../postgres/identifiers.js";
import { describeHolders, type LockHolder, lockHolders, remedyAgainst } from "../postgres/locks/lock-holders.js";
import { isLockTimeout, lockTimeoutSeconds } from "../postgres/locks/lock-waits.js";
import { parameterCommands } from "../platforms/platform.js";
import { platformOfHost } from "../platforms/platforms.js";
import { isMissingRelation, sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import type { Table } from "../postgres/tables.js";
import { cancellation } from "./cancellation.js";

export type TableName = Pick<Table, "schema" | "name">;

export interface LockOptions {
  /** Called with a text about the lock holders each time that they change. */
  readonly onWaiting?: ((holders: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Time limit in seconds; 60 by default. */
  readonly seconds?: number;
}

/** Tables per LOCK TABLE: a statement has at most some hundred kilobytes. */
const tablesPerLock = 1000;
/** Between two attempts nothing is locked, so that waiting sessions get their locks. */
const pauseMs = 500;

const what = "locking the tables to copy";

/**
 * Locks tables in ACCESS SHARE mode in an open transaction. It locks all of them at once, and retries if one is not
 * free. It never waits for one table while it holds another, because a session that altered the other one could wait
 * for it: a deadlock.
 *
 * @returns the tables, qualified and quoted, if one of them no longer exists; nothing is locked then
 * @throws LockNotAvailableError naming the sessions that kept a table locked until the time limit
 * @throws RefusedError if the role lacks privileges, or the server's lock table is full
 */
export async function lockTogether(
  session: Client,
  tables: readonly TableName[],
  { onWaiting, signal, seconds = lockTimeoutSeconds }: LockOptions = {},
): Promise<readonly string[]> {
  const deadline = Date.now() + seconds * 1000;
  let lastReported = "";
  for (;;) {
    const { error, among } = await tryToLock(session, tables);
    if (error === undefined || isMissingRelation(error)) return among;
    if (signal?.aborted) throw cancellation(what, signal);
    if (!isLockTimeout(error)) throw await lockFailure(session, error, tables);
    const holders = await lockHolders(session, tables);
    if (Date.now() >= deadline) throw stayLocked(holders, seconds, error);
    const text = describeHolders(holders);
    const textWithoutAges = omitAges(text);
    if (textWithoutAges !== lastReported && textWithoutAges !== "") onWaiting?.(text);
    lastReported = textWithoutAges;
    // The next attempt throws the signal's reason.
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** After a failure nothing is locked, and the transaction can continue. */
async function tryToLock(
  session: Client,
  tables: readonly TableName[],
): Promise<{ readonly error?: unknown; readonly among: readonly string[] }> {
  let among: string[] = [];
  try {
    for (let first = 0; first < tables.length; first += tablesPerLock) {
      among = tables.slice(first, first + tablesPerLock).map(({ schema, name }) => qualify(schema, name));
      const lock = `LOCK TABLE ${among.map((name) => `ONLY ${name}`).join(", ")} IN ACCESS SHARE MODE NOWAIT`;
      const begin = first === 0 ? ["SAVEPOINT lock_together"] : [];
      const end = first + tablesPerLock < tables.length ? [] : ["RELEASE SAVEPOINT lock_together"];
      await session.query([...begin, lock, ...end].join("; "));
    }
    return { among: [] };
  } catch (error) {
    if (isConnectionLoss(error)) throw new UnreachableError(`locking tables: ${messageOf(error)}`, { cause: error });
    await session.query("ROLLBACK TO SAVEPOINT lock_together; RELEASE SAVEPOINT lock_together");
    return { error, among };
  }
}

const stayLocked = (holders: readonly LockHolder[], seconds: number, cause: unknown): LockNotAvailableError =>
  // The holders may have released the lock meanwhile.
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
 * The sessions that copy, the dump, and the holder of the snapshot lock each table, in addition to the applications.
 */
const locksPerTable = 4;

async function moreLocks(session: Client, tables: number): Promise<string> {
  const { rows } = await session.query<{ present: number; sessions: number }>(
    `SELECT current_setting('max_locks_per_transaction')::int AS present,
            current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int AS sessions`,
  );
  const { present, sessions } = rows[0]!;
  const wanted = Math.max(2 * present, Math.ceil((locksPerTable * tables) / sessions));
  // More queries would need more locks.
  const platform = platformOfHost({ host: session.host, user: session.user ?? "" });
  const commands = parameterCommands(platform, [{ name: "max_locks_per_transaction", value: String(wanted) }]);
  return `raise max_locks_per_transaction on the source ${session.host}:${session.port} from ${present} to ${wanted} or more: ${commands}`;
}
