import { SourceAtRisk, TakenOver, messageOf } from "../../errors.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { Leavings } from "../cleanup/migration-cleanup.js";
import type { PlannedJobs } from "../planned-jobs.js";
import type { RunContext } from "../context/run-context.js";
import { unblocked } from "../context/statement-cancellation.js";
import type { WalGuard } from "../monitoring/retained-wal-monitor.js";
import type { Work } from "../work.js";

export type DatabaseStep = (database: DatabaseRecord, work: Work) => Promise<void>;

/** What is done with each database; one that is canceled, fails, or costs the source too much, ends without the others. */
export class DatabaseSteps {
  /** Online, one a database, from before its slot is made until the stream has ended. */
  readonly guards = new Map<string, WalGuard>();
  readonly #context: RunContext;
  readonly #jobs: PlannedJobs;
  readonly #leavings: Leavings;
  readonly #canceled = new Set<string>();
  readonly #failures = new Map<string, string>();

  constructor(context: RunContext, jobs: PlannedJobs, leavings: Leavings) {
    this.#context = context;
    this.#jobs = jobs;
    this.#leavings = leavings;
  }

  /** Databases of this run that were canceled one by one. */
  get canceled(): ReadonlySet<string> {
    return this.#canceled;
  }

  hasFailed(database: string): boolean {
    return this.#failures.has(database);
  }

  /** What databases of this run have failed by, as the migration's error; undefined while none has. */
  get failure(): string | undefined {
    if (this.#failures.size === 0) return undefined;
    const isOneOfSeveral = this.#context.wish.dbsToMigrate.length > 1;
    return [...this.#failures].map(([name, text]) => (isOneOfSeveral ? `${name}: ${text}` : text)).join("\n");
  }

  /** What a database's steps work with. The wish in it is always the present one. */
  workOn(database: string): Work {
    const { requests, source, target, journal, bearer, signal } = this.#context;
    const { tableSlots, indexSlots } = this.#jobs;
    return {
      get wish() {
        return requests.wish;
      },
      ...{ source, target, journal, bearer, tableSlots, indexSlots },
      generation: bearer.generation,
      signal: AbortSignal.any([signal, requests.cancellationOf(database), ...this.#guardSignals(database)]),
    };
  }

  /** Lets every database come to its end, or to its failure. @throws what ends the run, when all have ended by it */
  async allEnd(databases: readonly DatabaseRecord[], step: DatabaseStep): Promise<void> {
    const results = await Promise.allSettled(databases.map((database) => this.take(database, step)));
    const ended = results.find((result) => result.status === "rejected");
    if (ended) throw ended.reason as Error;
  }

  /**
   * One database's step. When it alone is canceled, or fails, that is its end, and the others go on.
   *
   * @throws what ends the run: its end is asked for, another worker has taken over, the records cannot be written
   */
  async take(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    const { name } = database;
    try {
      await this.#takeOrCancel(database, step);
    } catch (error) {
      if (this.#context.signal.aborted || error instanceof TakenOver) throw error;
      await this.#fail(name, error);
    }
  }

  async #takeOrCancel(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    const { name, phase, targetName } = database;
    const { requests, signal } = this.#context;
    if (phase === "done") return;
    if (phase === "canceled") return this.letGo(name);
    const cancellation = requests.cancellationOf(name);
    try {
      const unblocking = AbortSignal.any([cancellation, ...this.#guardSignals(name)]);
      await unblocked(unblocking, () => step(database, this.workOn(name)), [name, targetName]);
    } catch (error) {
      if (signal.aborted || error instanceof TakenOver) throw error;
      if (cancellation.aborted) return this.#cancel(name);
      const reason: unknown = this.guards.get(name)?.signal.reason;
      if (reason instanceof SourceAtRisk) return this.#spareSource(name, reason);
      throw reason ?? error;
    }
  }

  /** Removes what a canceled database has left. */
  async letGo(name: string): Promise<void> {
    this.#canceled.add(name);
    const record = await this.#context.currentDatabase(name);
    if (!record) return;
    await this.#leavings.removeAll(record);
    await this.#context.journal.database(name, { state: "Canceled" });
    this.#failures.delete(name);
  }

  #guardSignals(database: string): readonly AbortSignal[] {
    const guard = this.guards.get(database);
    return guard ? [guard.signal] : [];
  }

  /** Without its slot a database cannot go on: it is canceled, or begun anew by the next try. */
  async #spareSource(name: string, reason: SourceAtRisk): Promise<void> {
    const { journal, wish } = this.#context;
    if (wish.onMaxRetainedWal === "cancel") {
      await journal.event(reason.message, { database: name, level: "error" });
      return this.#cancel(name, reason.message);
    }
    const present = await this.#context.currentDatabase(name);
    if (present) await this.#leavings.takeDownFences(present);
    // First: with the slot gone, a worker that is killed here must not leave a database that is followed.
    await journal.database(name, { phase: "queued" });
    throw reason;
  }

  async #fail(name: string, failure: unknown): Promise<void> {
    const { journal } = this.#context;
    await this.#endVainGuard(name);
    const record = await this.#context.currentDatabase(name);
    const notes = record ? await this.#leavings.leaveFailed(record, failure) : [];
    const message = [messageOf(failure), ...notes].join("\n");
    await journal.event(message, { database: name, level: "error" });
    await journal.database(name, { state: "Failed", message });
    this.#failures.set(name, message);
  }

  /** What it has aborted for would end all that is done with the database from now on. */
  async #endVainGuard(name: string): Promise<void> {
    const guard = this.guards.get(name);
    if (!guard?.signal.aborted) return;
    await guard.stop();
    this.guards.delete(name);
  }

  /** Nothing on the target is dropped, as Azure's service has it; a slot on the source must not stay. */
  async #cancel(name: string, why: string | null = null): Promise<void> {
    const { journal } = this.#context;
    await journal.event("canceled", { database: name });
    // First: what a worker that is killed from here on leaves, its successor only cleans up after.
    await journal.database(name, { phase: "canceled", state: "Canceling", message: why });
    await this.letGo(name);
  }
}
