import type { Client } from "pg";
import { delay } from "../../async/delay.js";
import { RefusedError, TakenOverError } from "../../errors.js";
import { connectToAny } from "../../postgres/connection/any-database.js";
import type { Endpoint } from "../../postgres/connection/endpoint.js";
import type { StoreAddress } from "../../store/installation/records-database.js";
import { Store } from "../../store/store.js";
import type { Budget, Budgets } from "./budget.js";
import { connectionsOf, connectionsPerJob } from "./connections.js";
import { ServerSlots, settleMs } from "./server-slots.js";

const retryMs = 1000;

/** The source, and the address of the records on the target. */
interface SharedServers extends StoreAddress {
  readonly source: Endpoint;
}

/** What a migration may use of the servers that it shares with others. Without budgets, everything. */
export interface CopyLimits {
  /** Number of tables that may be copied at the same time, at most `wanted`. Called once, before the copies. */
  reserveJobs(wanted: number): Promise<number>;
  /** Tables that may be copied at the same time now. */
  readonly maxJobs: number;
  /** Bytes per second that this process may copy; undefined for no limit. */
  readonly bytesPerSecond: number | undefined;
  /** Waits until the budgets allow another copy of a database, and runs it. `report` gets the reason of a wait. */
  duringCopy<T>(copy: () => Promise<T>, report: (reason: string) => Promise<void>, signal: AbortSignal): Promise<T>;
}

/** The limits of a migration without budgets. */
export const unlimited: CopyLimits = {
  reserveJobs: (wanted) => Promise.resolve(wanted),
  maxJobs: Infinity,
  bytesPerSecond: undefined,
  duringCopy: (copy) => copy(),
};

/** The use of the budgets of source and target by one migration. It ends with the process. */
export class MigrationBudget implements CopyLimits {
  #jobs = 1;
  #copies = 0;

  private constructor(
    readonly source: ServerSlots,
    readonly target: ServerSlots,
    readonly budgets: Budgets,
  ) {}

  /**
   * Waits until the budgets of both servers have connections for one more migration; undefined if they have none in time.
   *
   * @throws RefusedError, UnreachableError as `connect` does
   */
  static async admit(
    job: SharedServers,
    budgets: Budgets,
    { seconds, signal }: { readonly seconds: number; readonly signal: AbortSignal },
  ): Promise<MigrationBudget | undefined> {
    const source = slotsOf(job.source, budgets.source, () => openSource(job.source));
    const target = slotsOf(job.target, budgets.target, () => openTarget(job));
    const budget = new MigrationBudget(source, target, budgets);
    const needed = connectionsOf(budgets.databases ?? 1);
    refuseImpossible(source, needed.source);
    refuseImpossible(target, needed.target);
    try {
      const deadline = Date.now() + seconds * 1000;
      while (!signal.aborted) {
        if (await budget.#takeBoth("connections", needed)) return budget;
        if (Date.now() > deadline) break;
        await delay(retryMs, signal);
      }
    } catch (error) {
      await budget.close();
      throw error;
    }
    await budget.close();
    return undefined;
  }

  get #limitsConnections(): boolean {
    return this.budgets.source.connections !== undefined || this.budgets.target.connections !== undefined;
  }

  get maxJobs(): number {
    return this.#limitsConnections ? this.#jobs : Infinity;
  }

  get bytesPerSecond(): number | undefined {
    const shares = [share(this.budgets.source, this.source), share(this.budgets.target, this.target)];
    const given = shares.filter((one) => one !== undefined);
    return given.length === 0 ? undefined : Math.min(...given);
  }

  async reserveJobs(wanted: number): Promise<number> {
    if (!this.#limitsConnections) return wanted;
    const extra = Math.max(0, wanted - this.#jobs);
    const onSource = await this.source.takeUpTo("connections", extra * connectionsPerJob.source);
    const onTarget = await this.target.takeUpTo("connections", extra * connectionsPerJob.target);
    const jobs = Math.min(
      Math.floor(onSource / connectionsPerJob.source),
      Math.floor(onTarget / connectionsPerJob.target),
    );
    await this.source.give("connections", onSource - jobs * connectionsPerJob.source);
    await this.target.give("connections", onTarget - jobs * connectionsPerJob.target);
    this.#jobs += jobs;
    return this.#jobs;
  }

  async duringCopy<T>(
    copy: () => Promise<T>,
    report: (reason: string) => Promise<void>,
    signal: AbortSignal,
  ): Promise<T> {
    for (let isReported = false; !(await this.#takeBoth("copies", { source: 1, target: 1 })); isReported = true) {
      if (!isReported) await report(`waiting for ${this.#copyLimits()}, which other migrations use`);
      await delay(retryMs, signal);
      signal.throwIfAborted();
    }
    this.#copies++;
    try {
      return await this.#sharingRate(copy, signal);
    } finally {
      this.#copies--;
      await this.source.give("copies", 1);
      await this.target.give("copies", 1);
      if (this.#copies === 0) await this.#returnJobs();
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.source.close(), this.target.close()]);
  }

  /** The other processes reduce their rates before this one begins, so that the sum never exceeds the budget. */
  #sharingRate<T>(copy: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const limited = [this.source, this.target].filter(
      (slots) => this.budgets[slots === this.source ? "source" : "target"].bytesPerSecond !== undefined,
    );
    const afterSettling = async (): Promise<T> => {
      if (limited.length > 0) await delay(settleMs, signal);
      signal.throwIfAborted();
      return copy();
    };
    return limited.reduceRight<() => Promise<T>>((run, slots) => () => slots.share(run), afterSettling)();
  }

  /** A migration that only applies changes needs few connections, perhaps for weeks. */
  async #returnJobs(): Promise<void> {
    const extra = this.#limitsConnections ? this.#jobs - 1 : 0;
    if (extra === 0) return;
    this.#jobs = 1;
    await this.source.give("connections", extra * connectionsPerJob.source);
    await this.target.give("connections", extra * connectionsPerJob.target);
  }

  /** Never holds slots of one server while it waits for the other. */
  async #takeBoth(
    kind: "copies" | "connections",
    wanted: { readonly source: number; readonly target: number },
  ): Promise<boolean> {
    if (!(await this.source.take(kind, wanted.source))) return false;
    if (await this.target.take(kind, wanted.target)) return true;
    await this.source.give(kind, wanted.source);
    return false;
  }

  #copyLimits(): string {
    return [this.source, this.target]
      .filter(({ limits }) => limits.copies !== undefined)
      .map(({ limits, server }) => `one of ${limits.copies} copies of ${server}`)
      .join(" and ");
  }
}

/** @throws RefusedError if the budget is too small even without other migrations */
function refuseImpossible({ server, limits: { connections } }: ServerSlots, needed: number): void {
  if (connections === undefined || connections >= needed) return;
  throw new RefusedError(`the migration needs ${needed} connections to ${server}, but the budget has ${connections}`, {
    remedy: "raise the budget of the pool, or migrate the databases in several migrations",
  });
}

const share = ({ bytesPerSecond }: Budget, slots: ServerSlots): number | undefined =>
  bytesPerSecond === undefined ? undefined : bytesPerSecond / slots.sharers;

const slotsOf = ({ host, port }: Endpoint, limits: Budget, open: () => Promise<Client>): ServerSlots =>
  new ServerSlots(`${host}:${port}`, open, limits);

/** All processes of a pool must use the same database: the first that accepts a session, whatever is migrated. */
const openSource = (endpoint: Endpoint): Promise<Client> =>
  connectToAny({ endpoint, preferred: [], purpose: "budget" });

/** The database of the records, which no migration of this target replaces. */
async function openTarget(job: SharedServers): Promise<Client> {
  const store = await Store.find(job, "budget");
  if (!store) throw new TakenOverError(`nothing is recorded on ${job.target.host}:${job.target.port}`);
  return store.client;
}
