import type { Client } from "pg";
import { lockTogether, type TableName } from "../../copy/lock-together.js";
import { tablesAlteredSince } from "../../copy/tables-altered-since.js";
import { WaiterWatch } from "../../copy/waiter-watch.js";
import { changedBeforeCopy, waitedFor } from "../../copy/yield-to-waiters.js";
import { LockNotAvailableError } from "../../errors.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import { watchOf } from "../../postgres/connection/session-watch.js";

/** How long to wait for a table that another session has locked. */
const lockSeconds = 1;

/**
 * Locks tables of an online migration only while they are read, so that applications do not wait for the whole copy. It
 * stops reading a table if an application waits for it.
 */
export class TableLocks {
  /** The sessions that read, by process ID. */
  readonly #readers = new Map<number, AbortController>();
  readonly #watch: WaiterWatch;

  constructor(source: Endpoint, database: string) {
    this.#watch = new WaiterWatch({
      source,
      database,
      holders: () => ({ pids: [...this.#readers.keys()] }),
      onWaiter: (waiter) => this.#readers.get(waiter.holder)?.abort(waitedFor(waiter, database)),
    });
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  /**
   * Runs while tables are locked, and releases the locks afterwards.
   *
   * @param session a session in a snapshot
   * @param run has to stop when its signal aborts
   * @throws ConcurrentChangeError if an application waited, or the snapshot no longer shows the tables
   */
  async during<Result>(
    session: Client,
    tables: readonly TableName[],
    run: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const reader = new AbortController();
    const { processId } = watchOf(session)!;
    await session.query("SAVEPOINT unlocked");
    try {
      await lockUnaltered(session, tables);
      this.#readers.set(processId, reader);
      return await run(reader.signal);
    } catch (error) {
      // The error of the stopped copy does not name the cause.
      throw reader.signal.aborted ? reader.signal.reason : error;
    } finally {
      this.#readers.delete(processId);
      // A lost session has no locks.
      await session.query("ROLLBACK TO SAVEPOINT unlocked; RELEASE SAVEPOINT unlocked").catch(() => undefined);
    }
  }
}

async function lockUnaltered(session: Client, tables: readonly TableName[]): Promise<void> {
  const dropped = await lockNow(session, tables);
  const altered = dropped.length > 0 ? dropped : await tablesAlteredSince(session, tables);
  if (altered.length === 0) return;
  throw changedBeforeCopy(`${altered.join(", ")} was truncated, altered or dropped on the source before it was copied`);
}

async function lockNow(session: Client, tables: readonly TableName[]): Promise<readonly string[]> {
  try {
    return await lockTogether(session, tables, { seconds: lockSeconds });
  } catch (error) {
    if (!(error instanceof LockNotAvailableError)) throw error;
    const [what] = error.message.split("\n");
    throw changedBeforeCopy(what!, error);
  }
}
