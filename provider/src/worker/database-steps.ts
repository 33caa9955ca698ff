import { SourceAtRisk, TakenOver, messageOf } from "../errors.js";
import type { DatabaseRecord } from "../store/records.js";
import type { Leavings } from "./leavings.js";
import type { PlannedJobs } from "./planned-jobs.js";
import type { RunContext } from "./run-context.js";
import { unblocked } from "./unblocked.js";
import type { WalGuard } from "./wal-guard.js";
import type { Work } from "./work.js";

export type DatabaseStep = (database: DatabaseRecord, work: Work) => Promise<void>;

/** What is done with each database; one that is canceled, or costs the source too much, ends without the others. */
export class DatabaseSteps {
  /** Online, one a database, from before its slot is made until the stream has ended. */
  readonly guards = new Map<string, WalGuard>();
  readonly #context: RunContext;
  readonly #jobs: PlannedJobs;
  readonly #leavings: Leavings;
  readonly #canceled = new Set<string>();

  constructor(context: RunContext, jobs: PlannedJobs, leavings: Leavings) {
    this.#context = context;
    this.#jobs = jobs;
    this.#leavings = leavings;
  }

  /** Databases of this run that were canceled one by one. */
  get canceled(): ReadonlySet<string> {
    return this.#canceled;
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

  /** Lets every database come to its end; throws what failed when all have. */
  async allEnd(databases: readonly DatabaseRecord[], step: DatabaseStep): Promise<void> {
    const results = await Promise.allSettled(databases.map((database) => this.take(database, step)));
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    if (failures.length === 1) throw failures[0]!;
    if (failures.length > 1) throw new AggregateError(failures);
  }

  /** One database's step. When it alone is canceled, that is its end, and the others go on. */
  async take(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    const { name, phase, targetName } = database;
    const { requests, journal, signal } = this.#context;
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
      const failure: unknown = reason ?? error;
      await journal.database(name, { state: "Failed", message: messageOf(failure) });
      throw failure;
    }
  }

  /** Removes what a canceled database has left. */
  async letGo(name: string): Promise<void> {
    this.#canceled.add(name);
    const record = await this.#context.currentDatabase(name);
    if (!record) return;
    await this.#leavings.removeAll(record);
    await this.#context.journal.database(name, { state: "Canceled" });
  }

  #guardSignals(database: string): readonly AbortSignal[] {
    const guard = this.guards.get(database);
    return guard ? [guard.signal] : [];
  }

  /** Without its slot a database cannot go on: it is canceled, or begun anew by the next try. */
  async #spareSource(name: string, reason: SourceAtRisk): Promise<void> {
    const { journal, wish } = this.#context;
    await journal.event(reason.message, { database: name, level: "error" });
    if (wish.onMaxRetainedWal === "cancel") return this.#cancel(name, reason.message);
    const present = await this.#context.currentDatabase(name);
    if (present) await this.#leavings.takeDownFences(present);
    // First: with the slot gone, a worker that is killed here must not leave a database that is followed.
    await journal.database(name, { state: "Failed", phase: "queued", message: reason.message });
    await this.#leavings.dropSourceObjects(name);
    throw reason;
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
