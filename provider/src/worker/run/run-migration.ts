import { log } from "../../log.js";
import { CanceledError, TakenOverError } from "../../errors.js";
import { tagSessions } from "../../postgres/connection/connect.js";
import { withSession } from "../../postgres/connection/with-session.js";
import { Lease } from "../../store/lease.js";
import { DatabaseSteps } from "./database-steps.js";
import { ownerTag } from "../context/session-owner.js";
import { RunFailureHandler } from "./run-failure-handler.js";
import { unlimited, type CopyLimits } from "../budgets/migration-budget.js";
import type { WorkerJob } from "../context/worker-job.js";
import { MigrationCleanup } from "../cleanup/migration-cleanup.js";
import { ThroughputSampler } from "../monitoring/throughput-samples.js";
import { OfflineRun } from "./offline-run.js";
import { OnlineRun } from "./online-run.js";
import { JournalObservers } from "./journal-observers.js";
import { CopyScheduler } from "./copy-scheduler.js";
import { PlannedParallelism } from "./planned-parallelism.js";
import { prepareRun } from "./preparation.js";
import { ReadOnlyTargetMonitor } from "../monitoring/read-only-target-monitor.js";
import { retry } from "../context/retry.js";
import { migrateSourceRoles } from "./migrate-roles.js";
import { RunContext } from "../context/run-context.js";
import { deleteEarlierLoans } from "../../store/streams/lent-streams.js";
import { deleteComparisons } from "../../store/copy-tasks/shared-comparison.js";
import { endStaleSessions } from "./end-stale-sessions.js";
import { withStatementCancellation } from "../context/statement-cancellation.js";
import { RequestWatch } from "../context/watch-requests.js";

/**
 * Takes the lease of a migration and runs it to its end. Returns early if another worker holds the lease, or after a stop
 * request. Failures of the migration are recorded, not thrown.
 *
 * @param limits what it may use of servers that it shares with other migrations
 */
export async function runMigration(job: WorkerJob, stop: AbortSignal, limits: CopyLimits = unlimited): Promise<void> {
  const address = { target: job.target, maintenanceDatabase: job.maintenanceDatabase };
  let lease: Lease;
  try {
    lease = await retry({ seconds: leaseRetrySeconds, signal: stop }, () => Lease.acquire(address, job.migrationName));
  } catch (error) {
    if (!(error instanceof TakenOverError || error instanceof CanceledError)) throw error;
    log.info(error.message);
    return;
  }
  const owner = { migration: job.migrationName, startedAt: lease.startedAt, generation: lease.generation };
  tagSessions(ownerTag(owner));
  try {
    const requests = await RequestWatch.start(lease);
    lease.reconnectForSeconds = requests.spec.reconnectFor;
    const throughput = new ThroughputSampler(lease);
    const observers = await JournalObservers.gather(job, lease, requests);
    const session = { database: job.maintenanceDatabase, purpose: `${job.migrationName} parameters` };
    const readOnly = new ReadOnlyTargetMonitor(observers.journal, (check) => withSession(job.target, session, check));
    try {
      await new MigrationRun(new RunContext(job, { owner, journal: observers.journal, requests, limits }, stop)).run();
    } finally {
      // After a cancellation the observers receive the end state. After a stop they do not wait.
      await observers.close(requests.canceled ? stop : AbortSignal.any([stop, requests.signal]));
      requests.close();
      await Promise.all([throughput.close(), readOnly.close()]);
    }
  } finally {
    // Later sessions of this process may belong to a copy helper of another worker.
    tagSessions(undefined);
    await lease.release();
  }
}

/** `reconnectFor` cannot apply, because the spec is not known before the lease is taken. */
const leaseRetrySeconds = 300;

class MigrationRun {
  readonly #context: RunContext;
  readonly #jobs: PlannedParallelism;
  readonly #cleanup: MigrationCleanup;
  readonly #steps: DatabaseSteps;
  readonly #copies: CopyScheduler;

  constructor(context: RunContext) {
    this.#context = context;
    this.#jobs = new PlannedParallelism(context);
    this.#cleanup = new MigrationCleanup(context);
    this.#steps = new DatabaseSteps(context, this.#jobs, this.#cleanup);
    this.#copies = new CopyScheduler(context);
  }

  async run(): Promise<void> {
    const { signal } = this.#context;
    try {
      await withStatementCancellation(signal, () => this.#migrate());
    } catch (error) {
      const handler = new RunFailureHandler(this.#context, this.#steps, this.#cleanup);
      await handler.handle(signal.aborted ? signal.reason : error);
    } finally {
      await this.#context.helpers.close();
    }
  }

  async #migrate(): Promise<void> {
    const { journal } = this.#context;
    await journal.event(`worker generation ${journal.lease.generation} took over`);
    await endStaleSessions(this.#context);
    // Of lost leaders.
    await deleteComparisons(journal.lease);
    await deleteEarlierLoans(journal.lease);
    if (!(await prepareRun(this.#context))) return;
    if (this.#context.spec.migrationOption === "Validate") return journal.state("Succeeded", "Completed");
    await journal.state("InProgress", "MigratingData");
    await this.#runDatabases();
    const { failure } = this.#steps;
    if (failure !== undefined) return journal.state("Failed", "Completed", failure);
    const allCanceled = (await this.#context.currentDatabases()).every(({ state }) => state === "Canceled");
    await journal.state(allCanceled ? "Canceled" : "Succeeded", "Completed");
  }

  async #runDatabases(): Promise<void> {
    const databases = await this.#context.currentDatabases();
    const offline = new OfflineRun(this.#steps, this.#copies);
    const isOffline = this.#context.spec.migrationMode === "Offline";
    // First, because they no longer need the source, which may be gone.
    const copied = databases.filter(({ phase }) => isOffline && phase === "completing");
    await offline.run(copied);
    const rest = databases.filter((one) => !copied.includes(one));
    if (rest.some(({ phase }) => phase !== "done" && phase !== "canceled")) await this.#jobs.plan();
    if (this.#context.spec.migrateRoles && rest.some(({ phase }) => phase === "queued"))
      await retry(this.#context.retryPolicy(), () => migrateSourceRoles(this.#steps.workOn(rest[0]!.name)));
    if (isOffline) return offline.run(rest);
    await new OnlineRun(this.#context, this.#steps, this.#copies, this.#cleanup).run(rest);
  }
}
