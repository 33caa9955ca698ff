import { delay } from "../async/delay.js";
import { ConcurrentChangeError } from "../errors.js";
import { connect } from "../postgres/connection/connect.js";
import type { Endpoint } from "../postgres/connection/endpoint.js";
import { describeSession } from "../postgres/locks/blocking-sessions.js";
import { type LockWaiter, lockWaiters } from "../postgres/locks/lock-waiters.js";
import type { Client } from "pg";
import type { Snapshot } from "./snapshot.js";

const lookEveryMs = 200;
/** At most one part of so many of the time is spent on looking. */
const lookShare = 20;
/** How long an application waits for the snapshot's locks before the snapshot is released. */
const patienceMs = 500;

export interface LockedSnapshot {
  readonly source: Endpoint;
  readonly database: string;
  readonly snapshot: Snapshot;
  /** Whether applications have to wait, unless a session of a migration waits behind them. By default they do not. */
  readonly isPatient?: () => boolean;
}

/**
 * Runs with a snapshot that has tables locked, and releases the snapshot for applications: half a second after a session
 * began to wait for one of these tables, or at once if a session of a migration waits behind that session. Without this,
 * the two would wait for each other.
 *
 * @param run has to stop when its signal aborts; it may also release the snapshot itself
 * @throws ConcurrentChangeError naming the session that waited
 * @example await yieldToWaiters(locked, (signal) => copyTable({ source, target, table, format, signal }));
 */
export async function yieldToWaiters<Result>(
  locked: LockedSnapshot,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const watch = new WaiterWatch(locked);
  try {
    return await run(watch.signal);
  } catch (error) {
    // The error of whichever statement was stopped does not name the cause.
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    await watch.stop();
  }
}

class WaiterWatch {
  readonly #locked: LockedSnapshot;
  readonly #yielded = new AbortController();
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  /** When each waiting session was first seen. */
  #seenAt = new Map<string, number>();
  #observer: Client | undefined;

  constructor(locked: LockedSnapshot) {
    this.#locked = locked;
    this.#watching = this.#watch();
  }

  /** Aborts when the snapshot is released. */
  get signal(): AbortSignal {
    return this.#yielded.signal;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted && !this.signal.aborted) {
      const askedAt = Date.now();
      const waiter = await this.#impatientWaiter();
      // A look at many thousands of locks costs the source much.
      if (!waiter) await delay(Math.max(lookEveryMs, lookShare * (Date.now() - askedAt)), signal);
      else await this.#yieldTo(waiter);
    }
    await this.#closeObserver();
  }

  async #impatientWaiter(): Promise<LockWaiter | undefined> {
    const { source, database, snapshot, isPatient } = this.#locked;
    // Another session may have got the process ID.
    if (snapshot.isReleased) return undefined;
    try {
      this.#observer ??= await connect(source, { database, purpose: "look at locks" });
      const waiters = await lockWaiters(this.#observer, snapshot.processId);
      const now = Date.now();
      this.#seenAt = new Map(waiters.map((waiter) => [keyOf(waiter), this.#seenAt.get(keyOf(waiter)) ?? now]));
      const waitedTooLong = (waiter: LockWaiter): boolean =>
        !isPatient?.() && now - this.#seenAt.get(keyOf(waiter))! >= patienceMs;
      return waiters.find((waiter) => waiter.isAheadOfMigration || waitedTooLong(waiter));
    } catch {
      // The sessions that copy report a source that does not answer.
      await this.#closeObserver();
      return undefined;
    }
  }

  async #yieldTo({ table, session }: LockWaiter): Promise<void> {
    // The copy may have ended while the locks were read.
    if (this.#stopped.signal.aborted) return;
    const { database, snapshot } = this.#locked;
    this.#yielded.abort(
      new ConcurrentChangeError(
        `${table} of ${database} was released before it was copied, because a session waits to lock it: ${describeSession(session)}`,
        { remedy: "none, unless this repeats: then stop what alters or truncates the table until it is copied" },
      ),
    );
    await snapshot.release();
  }

  async #closeObserver(): Promise<void> {
    const observer = this.#observer;
    this.#observer = undefined;
    await observer?.end().catch(() => undefined);
  }
}

const keyOf = ({ table, session }: LockWaiter): string =>
  JSON.stringify([table, session.pid, session.queryStart?.getTime()]);
