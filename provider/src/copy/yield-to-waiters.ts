import { ConcurrentChangeError } from "../errors.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { type RelationName, qualify } from "../postgres/identifiers.js";
import { describeSession } from "../postgres/locks/blocking-sessions.js";
import type { LockHolders, LockWaiter } from "../postgres/locks/lock-waiters.js";
import { enumerate } from "../units/enumerate.js";
import type { Snapshot } from "./snapshot.js";
import { defaultPatienceMs, WaiterWatch } from "./waiter-watch.js";

export interface LockedSnapshot {
  readonly source: Endpoint;
  readonly database: string;
  readonly snapshot: Snapshot;
  /** Only the locks of the snapshot are released for an application that waits for them. The caller checks what it changed. */
  readonly keepsSnapshot?: boolean;
  /** The application_name of other sessions with locks. They have to end when the signal of `run` aborts. */
  readonly readers?: readonly string[];
  /** How long an application waits for these; 300 by default. */
  readonly patienceMs?: number;
}

/**
 * Runs with a snapshot that has tables locked, and releases the snapshot, or its locks, if an application waits for one of
 * these tables. See {@link WaiterWatch}.
 *
 * @param run has to stop when its signal aborts; it may also release the snapshot itself
 * @throws ConcurrentChangeError naming the session that waited
 * @example await yieldToWaiters(locked, (signal) => copyTable({ source, target, table, format, signal }));
 */
export async function yieldToWaiters<Result>(
  { source, database, snapshot, keepsSnapshot = false, readers = [], patienceMs = defaultPatienceMs }: LockedSnapshot,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const yielded = new AbortController();
  // Another session may have got the process ID of a released snapshot.
  const holders = (): LockHolders => ({
    pids: snapshot.hasLocks ? [snapshot.processId] : [],
    applicationNames: readers,
  });
  const onWaiter = (waiter: LockWaiter): Promise<void> => {
    if (keepsSnapshot && waiter.holder === snapshot.processId) return snapshot.unlockTables();
    yielded.abort(waitedFor(waiter, database));
    return snapshot.release();
  };
  const watch = new WaiterWatch({ source, database, holders, patienceMs, onWaiter });
  try {
    return await run(yielded.signal);
  } catch (error) {
    // The error of whichever statement was stopped does not name the cause.
    throw yielded.signal.aborted ? yielded.signal.reason : error;
  } finally {
    await watch.close();
  }
}

/** The error for a table whose lock was released for a waiting session. */
export const waitedFor = ({ table, session }: LockWaiter, database: string): ConcurrentChangeError =>
  changedBeforeCopy(
    `${table} of ${database} was released before it was copied, because a session waits to lock it: ${describeSession(session)}`,
  );

/** The error for a table that applications lock, alter or truncate before it is copied. */
export const changedBeforeCopy = (what: string, cause?: unknown): ConcurrentChangeError =>
  new ConcurrentChangeError(what, {
    remedy: "none, unless this repeats: then stop what alters or truncates the table until it is copied",
    cause,
  });

/** The error for tables whose functions would read tables that are not copied yet. @param later qualified and quoted */
export const tableReadsLaterTables = (
  tables: readonly RelationName[],
  later: Iterable<string>,
): ConcurrentChangeError =>
  changedBeforeCopy(
    `functions of ${enumerate(tables.map(({ schema, name }) => qualify(schema, name)))} may read ${enumerate([...later])}, which was not copied yet`,
  );
