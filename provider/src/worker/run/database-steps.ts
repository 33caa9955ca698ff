import { omittedByCancel } from "./omitted-by-cancel.js";
import { SourceAtRiskError, TakenOverError, messageOf } from "../../errors.js";
import type { DatabaseRecord } from "../../store/records.js";
import type { MigrationCleanup } from "../cleanup/migration-cleanup.js";
import type { PlannedParallelism } from "./planned-parallelism.js";
import type { RunContext } from "../context/run-context.js";
import { withStatementCancellation } from "../context/statement-cancellation.js";
import { ReplicaLagMonitor } from "../monitoring/replica-lag-monitor.js";
import type { RetainedWalMonitor } from "../monitoring/retained-wal-monitor.js";
import type { Work } from "../context/work.js";

export type DatabaseStep = (database: DatabaseRecord, work: Work) => Promise<void>;

/** Runs steps per database. A database that is canceled, fails or endangers the source ends without the others. */
export class DatabaseSteps {
  /** Online: one monitor per database, from before the creation of its slot until the end of its stream. */
  readonly guards = new Map<string, RetainedWalMonitor>();
  readonly #context: RunContext;
  readonly #jobs: PlannedParallelism;
  readonly #replicaLag: ReplicaLagMonitor;
  readonly #cleanup: MigrationCleanup;
  readonly #canceled = new Set<string>();
  readonly #failures = new Map<string, string>();

  constructor(context: RunContext, jobs: PlannedParallelism, cleanup: MigrationCleanup) {
    this.#context = context;
    this.#jobs = jobs;
    this.#replicaLag = new ReplicaLagMonitor({
      source: context.source,
      purpose: `${context.spec.migrationName} replicas`,
      limitSeconds: () => context.spec.maxReplicaLag,
      copyRate: jobs.copyRate,
      // A lost event must not fail the copy.
      onFailure: (why) => void context.journal.event(why, { level: "warning" }).catch(() => undefined),
    });
    this.#cleanup = cleanup;
  }

  /** Databases of this run that were canceled one by one. */
  get canceled(): ReadonlySet<string> {
    return this.#canceled;
  }

  hasFailed(database: string): boolean {
    return this.#failures.has(database);
  }

  /** The migration's error, made of the errors of all failed databases; undefined if no database failed. */
  get failure(): string | undefined {
    if (this.#failures.size === 0) return undefined;
    const isOneOfSeveral = this.#context.spec.dbsToMigrate.length > 1;
    return [...this.#failures].map(([name, text]) => (isOneOfSeveral ? `${name}: ${text}` : text)).join("\n");
  }

  /** The context of one database's steps. Its `spec` is always the current one. */
  workOn(database: string): Work {
    const { requests, source, target, journal, owner, keptDumps, helpers, signal } = this.#context;
    const { tableSlots, indexSlots, copyRate } = this.#jobs;
    return {
      get spec() {
        return requests.spec;
      },
      source,
      target,
      journal,
      owner,
      tableSlots,
      indexSlots,
      copyRate,
      replicaLag: this.#replicaLag,
      keptDumps,
      helpers,
      releases: { count: 0 },
      generation: owner.generation,
      signal: AbortSignal.any([signal, requests.cancellationOf(database), ...this.#guardSignals(database)]),
    };
  }

  /**
   * Runs the step for every database and waits for all of them. A database that fails takes the other step, if there is one.
   *
   * @throws the error that ends the run
   */
  async allEnd(databases: readonly DatabaseRecord[], step: DatabaseStep, afterFailure?: DatabaseStep): Promise<void> {
    const results = await Promise.allSettled(
      databases.map(async (database) => {
        await this.take(database, step);
        if (afterFailure && this.hasFailed(database.name)) await this.take(database, afterFailure);
      }),
    );
    const ended = results.find((result) => result.status === "rejected");
    if (ended) throw ended.reason as Error;
  }

  /**
   * Runs one database's step. A failure or cancellation of this database alone ends only this database.
   *
   * @throws the error that ends the run: a stop request, TakenOver, or a failed write to the records
   */
  async take(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    const { name } = database;
    try {
      await this.#takeOrCancel(database, step);
    } catch (error) {
      if (this.#context.signal.aborted || error instanceof TakenOverError) throw error;
      await this.#fail(name, error);
    }
  }

  async #takeOrCancel(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    const { name, phase, targetName } = database;
    const { requests, signal } = this.#context;
    if (phase === "done") return;
    if (phase === "canceled") return this.finishCancellation(name);
    const cancellation = requests.cancellationOf(name);
    try {
      const unblocking = AbortSignal.any([cancellation, ...this.#guardSignals(name)]);
      await withStatementCancellation(unblocking, () => step(database, this.workOn(name)), [name, targetName]);
    } catch (error) {
      if (signal.aborted || error instanceof TakenOverError) throw error;
      if (cancellation.aborted) return this.#cancel(name);
      const reason: unknown = this.guards.get(name)?.signal.reason;
      if (reason instanceof SourceAtRiskError) return this.#releaseSlot(name, reason);
      throw reason ?? error;
    }
  }

  /** Removes the publications, slots and fences of a canceled database. */
  async finishCancellation(name: string): Promise<void> {
    this.#canceled.add(name);
    const record = await this.#context.currentDatabase(name);
    if (!record) return;
    await this.#cleanup.removeServerObjects(record);
    await this.#context.journal.database(name, { state: "Canceled" });
    this.#failures.delete(name);
  }

  #guardSignals(database: string): readonly AbortSignal[] {
    const guard = this.guards.get(database);
    return guard ? [guard.signal] : [];
  }

  /** Without its slot a database cannot be replicated. It is canceled, or the next try restarts its copy. */
  async #releaseSlot(name: string, reason: SourceAtRiskError): Promise<void> {
    const { journal, spec } = this.#context;
    if (spec.onMaxRetainedWal === "cancel") {
      await journal.event(reason.message, { database: name, level: "error" });
      return this.#cancel(name, reason.message);
    }
    const present = await this.#context.currentDatabase(name);
    if (present) await this.#cleanup.takeDownFences(present);
    // Before the slot is dropped: after a kill, the record must not claim that the database is replicated.
    await journal.database(name, { phase: "queued" });
    throw reason;
  }

  async #fail(name: string, failure: unknown): Promise<void> {
    const { journal } = this.#context;
    await this.#removeAbortedGuard(name);
    const record = await this.#context.currentDatabase(name);
    const notes = record ? await this.#cleanup.cleanUpFailedDatabase(record, failure) : [];
    const message = [messageOf(failure), ...notes].join("\n");
    await journal.event(message, { database: name, level: "error" });
    await journal.database(name, { state: "Failed", message });
    this.#failures.set(name, message);
  }

  /** An aborted monitor would abort every further step of the database. */
  async #removeAbortedGuard(name: string): Promise<void> {
    const guard = this.guards.get(name);
    if (!guard?.signal.aborted) return;
    await guard.close();
    this.guards.delete(name);
  }

  /** Keeps the target database, as Azure's service does. The slot on the source must not stay. */
  async #cancel(name: string, why: string | null = null): Promise<void> {
    const { journal } = this.#context;
    await journal.event("canceled", { database: name });
    const record = await this.#context.currentDatabase(name);
    if (record) await this.recordCancellation(record, why);
    await this.finishCancellation(name);
  }

  /** Called before the removal of objects: after a kill, the successor only completes the clean-up. */
  async recordCancellation(record: DatabaseRecord, why: string | null = null): Promise<void> {
    const { journal } = this.#context;
    await journal.omitted(record.name, omittedByCancel(record));
    await journal.database(record.name, { phase: "canceled", state: "Canceling", message: why });
  }
}
