import { PeriodicTask } from "../async/periodic-task.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { ReopenedSession } from "../postgres/connection/reopened-session.js";
import { type LockHolders, type LockWaiter, lockWaiters } from "../postgres/locks/lock-waiters.js";

const lookEveryMs = 200;
/** A look at many thousands of locks costs the source much. */
const busyShare = 1 / 10;
/** On a busy server a look may take a second. Applications must not wait ten times as long. */
const atMostMs = 1000;
/** How long an application waits for locks of the migration before they are released. */
export const defaultPatienceMs = 300;

export interface WaiterWatchOptions {
  readonly source: Endpoint;
  readonly database: string;
  /** The sessions with the locks. Nothing is read while there are none. */
  readonly holders: () => LockHolders;
  /** How long an application waits for the holders with an application_name; 300 by default. */
  readonly patienceMs?: number;
  /** Releases the lock. It is called again for as long as the session waits. */
  readonly onWaiter: (waiter: LockWaiter) => Promise<void> | void;
}

/**
 * Finds the sessions of applications that wait for locks of a migration, 0.3 s after they began to wait. If a session of a
 * migration waits behind such a session, it is found at once. Otherwise the two would wait for each other.
 *
 * @example const watch = new WaiterWatch({ source, database: "crm", holders: () => ({ pids: [pid] }), onWaiter: () => snapshot.release() });
 */
export class WaiterWatch {
  readonly #options: WaiterWatchOptions;
  readonly #observer: ReopenedSession;
  readonly #task: PeriodicTask;
  /** When each waiting session was first seen. */
  #seenAt = new Map<string, number>();

  constructor(options: WaiterWatchOptions) {
    const { source, database } = options;
    this.#options = options;
    this.#observer = new ReopenedSession(() => connect(source, { database, purpose: "look at locks" }));
    // The sessions that copy report a source that does not answer.
    const run = (): Promise<void> => this.#look().catch(() => undefined);
    this.#task = new PeriodicTask({ everyMs: lookEveryMs, busyShare, atMostMs, run, onFailure: () => undefined });
  }

  async close(): Promise<void> {
    await this.#task.close();
    await this.#observer.close();
  }

  async #look(): Promise<void> {
    const { holders, onWaiter, patienceMs = defaultPatienceMs } = this.#options;
    const sessions = holders();
    const { pids, applicationNames = [] } = sessions;
    if (pids.length + applicationNames.length === 0) return;
    const waiters = await this.#observer.use((observer) => lockWaiters(observer, sessions));
    const now = Date.now();
    this.#seenAt = new Map(waiters.map((waiter) => [keyOf(waiter), this.#seenAt.get(keyOf(waiter)) ?? now]));
    for (const waiter of waiters) {
      if (this.#task.isClosed) return;
      const isAwaited = pids.includes(waiter.holder);
      const waitsMs = now - this.#seenAt.get(keyOf(waiter))!;
      const isUrgent = isAwaited && waiter.isAheadOfMigration;
      if (isUrgent || waitsMs >= (isAwaited ? defaultPatienceMs : patienceMs)) await onWaiter(waiter);
    }
  }
}

const keyOf = ({ table, session }: LockWaiter): string =>
  JSON.stringify([table, session.pid, session.queryStart?.getTime()]);
