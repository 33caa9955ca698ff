import { log } from "../../log.js";
import { CanceledError, messageOf } from "../../errors.js";
import type { MigrationSpec } from "../../inputs/inputs.js";
import type { Lease } from "../../store/lease.js";
import { allDatabases, readDatabaseRequests, type Orders } from "../../store/requests.js";
import { Notifier } from "../../async/notifier.js";
import { delay } from "../../async/delay.js";

const pollMs = 400;

/** Requests and spec changes of users for a running worker, noticed within half a second. */
export class RequestWatch {
  readonly #abort = new AbortController();
  readonly #canceledDatabases = new Map<string, AbortController>();
  readonly #notifier = new Notifier();
  #orders: Orders;
  #closed = false;

  private constructor(
    readonly lease: Lease,
    orders: Orders,
  ) {
    this.#orders = orders;
    this.#obey();
    this.#poll().catch((error: unknown) => {
      log.warn(`stopped watching for requests: ${messageOf(error)}`);
      this.#abort.abort(error);
    });
  }

  /** Reads the current requests, then polls for new ones until {@link close}. */
  static async start(lease: Lease): Promise<RequestWatch> {
    return new RequestWatch(lease, await readDatabaseRequests(lease));
  }

  /** Aborts on `stop`, on `cancel` of the whole migration, and when the lease is lost. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The current spec. */
  get spec(): MigrationSpec {
    return this.#orders.spec;
  }

  /** Increases with every change of the spec. */
  get specRevision(): number {
    return this.#orders.specRevision;
  }

  /** Whether the whole migration is canceled. */
  get canceled(): boolean {
    return this.#asked("cancel", allDatabases);
  }

  /** Aborts when the migration of this database alone is canceled. */
  cancellationOf(database: string): AbortSignal {
    const known = this.#canceledDatabases.get(database);
    if (known) return known.signal;
    const abort = new AbortController();
    this.#canceledDatabases.set(database, abort);
    this.#obey();
    return abort.signal;
  }

  /** Resolves when the cutover of this database, or of all databases, is requested. */
  async cutoverOf(database: string): Promise<void> {
    while (!this.isCutoverAsked(database)) await this.#notifier.next;
  }

  isCutoverAsked(database: string): boolean {
    return this.#asked("cutover", database) || this.#asked("cutover", allDatabases);
  }

  /** Resolves when the user decided to drop the rollback replication or to return to the source. */
  async rollbackDecided(): Promise<"drop" | "return"> {
    for (;;) {
      const { rollback } = this.spec;
      if (rollback !== "keep") return rollback;
      await this.#notifier.next;
    }
  }

  close(): void {
    this.#closed = true;
  }

  #asked(kind: string, database: string): boolean {
    return this.#orders.requests.some((request) => request.kind === kind && request.database === database);
  }

  async #poll(): Promise<void> {
    let asked = this.lease.asked.nextSignal;
    for (;;) {
      await delay(pollMs, asked);
      if (this.#closed || this.#abort.signal.aborted) return;
      asked = this.lease.asked.nextSignal;
      this.#orders = await readDatabaseRequests(this.lease);
      this.#obey();
    }
  }

  #obey(): void {
    if (this.#asked("stop", allDatabases)) this.#abort.abort(new CanceledError("the worker was asked to stop"));
    if (this.canceled) this.#abort.abort(new CanceledError("the migration was canceled"));
    for (const [database, abort] of this.#canceledDatabases)
      if (this.#asked("cancel", database)) abort.abort(new CanceledError(`the migration of ${database} was canceled`));
    this.#notifier.notify();
  }
}
