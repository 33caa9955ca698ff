import type { Client } from "pg";
import { PeriodicTask } from "../../async/periodic-task.js";
import { ChangeReporter, log } from "../../log.js";
import { messageOf } from "../../errors.js";
import { formatBytes } from "../../units/byte-size.js";
import type { Budget } from "./budget.js";

/** First halves of the keys of advisory locks. The second half is the number of a slot. */
const lockClasses = { copies: 0x706d6263, connections: 0x706d626e, sharers: 0x706d6272 } as const;

type Resource = "copies" | "connections";

const checkEveryMs = 1000;
/** Longer than two checks: all other processes then know of a new sharer. */
export const settleMs = 2500;

/**
 * The part of a server's budgets that this process uses. A slot is an advisory lock on the server itself, held by one session.
 * The locks end with the session, so a process that dies returns its slots. If the session breaks, it is opened again and takes
 * as many slots as are free; until then the budget may be exceeded.
 */
export class ServerSlots {
  readonly #held: Record<Resource, number[]> = { copies: [], connections: [] };
  /** How many slots of each kind this process uses, also while its session is broken. */
  readonly #used: Record<Resource, number> = { copies: 0, connections: 0 };
  #client: Client | undefined;
  #sharing = 0;
  #sharers = 1;
  readonly #reporter = new ChangeReporter();
  readonly #watch: PeriodicTask;
  /** Statements run one after another in the one session. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param open opens the session, always in the same database of the server: advisory locks belong to a database
   * @param limits without any limit, no session is opened
   */
  constructor(
    readonly server: string,
    readonly open: () => Promise<Client>,
    readonly limits: Budget,
  ) {
    this.#watch = new PeriodicTask({
      everyMs: checkEveryMs,
      run: () => this.#inTurn(() => this.#check()).catch((error: unknown) => this.#lost(error)),
      onFailure: (error) => log.warn(messageOf(error)),
      pausesFirst: true,
    });
  }

  /** Number of processes that share the byte rate of the server, at least 1. As of the last second. */
  get sharers(): number {
    return Math.max(1, this.#sharers);
  }

  /** Takes all wanted slots, or none. Returns whether it took them. */
  take(kind: Resource, wanted: number): Promise<boolean> {
    return this.#inTurn(async () => {
      const taken = await this.#lock(kind, wanted);
      if (taken.length === wanted || this.limits[kind] === undefined) {
        this.#used[kind] += wanted;
        return true;
      }
      await this.#unlock(kind, taken);
      return false;
    });
  }

  /** Takes as many slots as are free, at most `wanted`. Returns their number. */
  takeUpTo(kind: Resource, wanted: number): Promise<number> {
    return this.#inTurn(async () => {
      const taken = this.limits[kind] === undefined ? wanted : (await this.#lock(kind, wanted)).length;
      this.#used[kind] += taken;
      return taken;
    });
  }

  give(kind: Resource, count: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#used[kind] -= count;
      await this.#unlock(kind, this.#held[kind].slice(0, Math.max(0, this.#held[kind].length - this.#used[kind])));
    });
  }

  /** Shares the byte rate while the function runs. */
  async share<T>(run: () => Promise<T>): Promise<T> {
    this.#sharing++;
    await this.#inTurn(() => this.#check());
    try {
      return await run();
    } finally {
      this.#sharing--;
      await this.#inTurn(() => this.#check()).catch((error: unknown) => this.#lost(error));
    }
  }

  async close(): Promise<void> {
    await this.#watch.close();
    await this.#last.catch(() => undefined);
    await this.#client?.end().catch(() => undefined);
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #session(): Promise<Client> {
    if (this.#client) return this.#client;
    const client = await this.open();
    client.once("error", (error) => this.#lost(error));
    client.once("end", () => {
      if (this.#client === client) this.#client = undefined;
    });
    return (this.#client = client);
  }

  #lost(error: unknown): void {
    log.warn(`the session for the budgets of ${this.server} is lost: ${messageOf(error)}`);
    const client = this.#client;
    this.#client = undefined;
    this.#held.copies = [];
    this.#held.connections = [];
    client?.end().catch(() => undefined);
  }

  /** Takes back the slots of a broken session, and counts the processes that share the byte rate. */
  async #check(): Promise<void> {
    if (Object.values(this.limits).every((limit) => limit === undefined)) return;
    for (const kind of ["copies", "connections"] as const) {
      const missing = this.limits[kind] === undefined ? 0 : this.#used[kind] - this.#held[kind].length;
      if (missing > 0) await this.#lock(kind, missing);
    }
    const client = await this.#session();
    const [take, release] = ["pg_try_advisory_lock_shared", "pg_advisory_unlock_shared"];
    const { rows } = await client.query<{ mine: boolean }>(
      `SELECT EXISTS (SELECT ${sharerLocks} AND pid = pg_catalog.pg_backend_pid()) AS mine`,
    );
    const isSharing = this.#sharing > 0;
    if (rows[0]!.mine !== isSharing)
      await client.query(`SELECT pg_catalog.${isSharing ? take : release}(${lockClasses.sharers}, 0)`);
    const counted = await client.query<{ count: number }>(`SELECT count(*)::int AS count ${sharerLocks}`);
    this.#sharers = counted.rows[0]!.count;
    if (isSharing) this.#reportShare();
  }

  #reportShare(): void {
    const { bytesPerSecond } = this.limits;
    if (bytesPerSecond === undefined) return;
    const [all, share] = [bytesPerSecond, bytesPerSecond / this.sharers].map((bytes) => formatBytes(bytes));
    this.#reporter.report(
      `${this.server}: workers that share the rate of ${all}/s: ${this.sharers}; each copies ${share}/s`,
    );
  }

  async #lock(kind: Resource, wanted: number): Promise<number[]> {
    const limit = this.limits[kind];
    if (limit === undefined || wanted <= 0) return [];
    const client = await this.#session();
    // OFFSET 0 evaluates the first condition before the second. Otherwise a session could take a lock twice that it holds.
    const { rows } = await client.query<{ slot: number }>(
      `SELECT slot FROM (SELECT slot FROM pg_catalog.generate_series(1, $2::int) slot WHERE slot <> ALL ($3::int[]) OFFSET 0) free
        WHERE pg_catalog.pg_try_advisory_lock($1, slot) LIMIT $4`,
      [lockClasses[kind], limit, this.#held[kind], wanted],
    );
    const taken = rows.map(({ slot }) => slot);
    this.#held[kind].push(...taken);
    return taken;
  }

  async #unlock(kind: Resource, slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    this.#held[kind] = this.#held[kind].filter((slot) => !slots.includes(slot));
    const client = await this.#session();
    await client.query("SELECT pg_catalog.pg_advisory_unlock($1, slot) FROM unnest($2::int[]) slot", [
      lockClasses[kind],
      slots,
    ]);
  }
}

const sharerLocks = `FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = ${lockClasses.sharers} AND objid = 0
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`;
