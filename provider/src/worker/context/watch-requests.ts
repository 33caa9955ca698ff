import { Canceled, messageOf } from "../../errors.js";
import type { Wish } from "../../inputs/inputs.js";
import type { Lease } from "../../store/lease.js";
import { everyDatabase, readOrders, type Orders } from "../../store/requests.js";
import { Bell } from "../../bell.js";
import { pause } from "../../async/delay.js";

const pollMs = 400;

/** What users ask of a running worker, seen at once, or within half a second: requests, and changes of the wish. */
export class RequestWatch {
  readonly #abort = new AbortController();
  readonly #canceledDatabases = new Map<string, AbortController>();
  readonly #bell = new Bell();
  #orders: Orders;
  #closed = false;

  private constructor(
    readonly lease: Lease,
    orders: Orders,
  ) {
    this.#orders = orders;
    this.#obey();
    this.#poll().catch((error: unknown) => {
      process.stderr.write(`the watch for requests ends: ${messageOf(error)}\n`);
      this.#abort.abort(error);
    });
  }

  /** Looks for requests until it is closed; what is asked for already is known when this answers. */
  static async start(lease: Lease): Promise<RequestWatch> {
    return new RequestWatch(lease, await readOrders(lease));
  }

  /** Aborts on `stop`, on `cancel` of the whole migration, and when the lease is lost. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What is wanted now. */
  get wish(): Wish {
    return this.#orders.wish;
  }

  /** Grows with every change of the wish. */
  get wishRevision(): number {
    return this.#orders.wishRevision;
  }

  /** Whether the whole migration is canceled. */
  get canceled(): boolean {
    return this.#asked("cancel", everyDatabase);
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

  /** Settles when the cutover of this database, or of all, is asked for. */
  async cutoverOf(database: string): Promise<void> {
    while (!this.isCutoverAsked(database)) await this.#bell.next;
  }

  isCutoverAsked(database: string): boolean {
    return this.#asked("cutover", database) || this.#asked("cutover", everyDatabase);
  }

  /** Settles when the wish asks for another verification than `done`, and says which. */
  async verificationBeside(done: string | undefined): Promise<string> {
    while (this.wish.verifyNow === undefined || this.wish.verifyNow === done) await this.#bell.next;
    return this.wish.verifyNow;
  }

  /** Settles when the way back is to be kept no longer: it is dropped, or taken. */
  async rollbackDecided(): Promise<"drop" | "return"> {
    for (;;) {
      const { rollback } = this.wish;
      if (rollback !== "keep") return rollback;
      await this.#bell.next;
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
      await pause(pollMs, asked);
      if (this.#closed || this.#abort.signal.aborted) return;
      asked = this.lease.asked.nextSignal;
      this.#orders = await readOrders(this.lease);
      this.#obey();
    }
  }

  #obey(): void {
    if (this.#asked("stop", everyDatabase)) this.#abort.abort(new Canceled("the worker was asked to stop"));
    if (this.canceled) this.#abort.abort(new Canceled("the migration was canceled"));
    for (const [database, abort] of this.#canceledDatabases)
      if (this.#asked("cancel", database)) abort.abort(new Canceled(`the migration of ${database} was canceled`));
    this.#bell.ring();
  }
}
