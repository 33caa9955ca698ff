import type { Client } from "pg";
import { WaiterWatch } from "../copy/waiter-watch.js";
import { requestCancel } from "../postgres/connection/cancel-request.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import type { LockHolders, LockWaiter } from "../postgres/locks/lock-waiters.js";
import { watchOf } from "../postgres/connection/session-watch.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";

interface Read {
  readonly session: Client;
  /** The OIDs of the tables. */
  readonly tables: readonly number[];
  /** They settle when the server has signaled the session. */
  readonly cancels: Promise<void>[];
}

/** Reads of the source's tables that stop if an application waits for a table's lock. See {@link WaiterWatch}. */
export class YieldingReads {
  /** By process ID. */
  readonly #reads = new Map<number, Read>();
  readonly #yielded = new Set<number>();
  readonly #watch: WaiterWatch | undefined;

  /** @param place the source; undefined if no application works with it */
  constructor(place: { readonly source: Endpoint; readonly database: string } | undefined) {
    if (!place) return;
    const holders = (): LockHolders => ({ pids: [...this.#reads.keys()] });
    this.#watch = new WaiterWatch({ ...place, holders, onWaiter: (waiter) => this.#stop(waiter) });
  }

  async close(): Promise<void> {
    await this.#watch?.close();
  }

  /** Whether a read of the table was stopped. @param table its OID */
  hasYielded(table: number): boolean {
    return this.#yielded.has(table);
  }

  /**
   * @param tables their OIDs
   * @returns undefined if the read was stopped; the session's subtransaction has then failed
   */
  async read<Result>(
    session: Client,
    tables: readonly number[],
    run: () => Promise<Result>,
  ): Promise<Result | undefined> {
    if (!this.#watch) return run();
    const read: Read = { session, tables, cancels: [] };
    const { processId } = watchOf(session)!;
    this.#reads.set(processId, read);
    try {
      return await run();
    } catch (error) {
      if (read.cancels.length === 0 || sqlStateOf(error) !== sqlStates.queryCanceled) throw error;
      return undefined;
    } finally {
      this.#reads.delete(processId);
      // A late signal must not cancel the session's next statement.
      await Promise.all(read.cancels);
    }
  }

  #stop({ holder, oid }: LockWaiter): void {
    const read = this.#reads.get(holder);
    // The session may read another table by now.
    if (!read?.tables.includes(oid)) return;
    this.#yielded.add(oid);
    read.cancels.push(requestCancel(read.session));
  }
}
