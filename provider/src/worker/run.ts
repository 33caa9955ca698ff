import { Canceled, TakenOver } from "../errors.js";
import { nameSessionsAfter } from "../postgres/connection/connect.js";
import type { DatabaseRecord } from "../store/records.js";
import { Lease } from "../store/lease.js";
import { copyDatabase } from "./initial-copy/copy-database.js";
import { DatabaseSteps } from "./run/database-steps.js";
import { bearerName } from "./cleanup/earlier-sessions.js";
import { Ending } from "./run/run-failure-handler.js";
import type { Job } from "./context/worker-job.js";
import { Leavings } from "./cleanup/migration-cleanup.js";
import { Measuring } from "./monitoring/throughput-samples.js";
import { OnlineRun } from "./run/online-run.js";
import { Onlookers } from "./run/journal-observers.js";
import { PatientCopies } from "./patient-copies.js";
import { PlannedJobs } from "./planned-jobs.js";
import { isPrepared } from "./preparation.js";
import { ReadOnlyTarget } from "./monitoring/read-only-target-monitor.js";
import { rideOut } from "./ride-out.js";
import { bringRoles } from "./roles.js";
import { RunContext } from "./context/run-context.js";
import { takeOver } from "./run/end-stale-sessions.js";
import { unblocked } from "./context/statement-cancellation.js";
import { RequestWatch } from "./context/watch-requests.js";

/**
 * Takes the lease of a migration and brings it as far as it goes: to its end, or to the wait for its cutover and, when
 * that is asked for, through it. Answers when there is nothing left to do, or somebody else does it.
 */
export async function runMigration(job: Job, stop: AbortSignal): Promise<void> {
  const address = { target: job.target, maintenanceDatabase: job.maintenanceDatabase };
  let lease: Lease;
  try {
    lease = await rideOut({ seconds: targetPatienceSeconds, signal: stop }, () =>
      Lease.acquire(address, job.migrationName),
    );
  } catch (error) {
    if (!(error instanceof TakenOver || error instanceof Canceled)) throw error;
    process.stdout.write(`${error.message}\n`);
    return;
  }
  const bearer = { migration: job.migrationName, startedAt: lease.startedAt, generation: lease.generation };
  nameSessionsAfter(bearerName(bearer));
  try {
    const requests = await RequestWatch.start(lease);
    const measuring = new Measuring(lease);
    const onlookers = await Onlookers.gather(job, lease, requests);
    const readOnly = new ReadOnlyTarget(onlookers.journal);
    try {
      await new MigrationRun(new RunContext(job, bearer, onlookers.journal, requests, stop)).run();
    } finally {
      // A cancel has been obeyed by now, and is worth telling; a stop is not.
      await onlookers.close(requests.canceled ? stop : AbortSignal.any([stop, requests.signal]));
      requests.close();
      await Promise.all([measuring.close(), readOnly.close()]);
    }
  } finally {
    // What this process opens from here on may be as another worker's helper.
    nameSessionsAfter(undefined);
    await lease.release();
  }
}

/** The wish, which says otherwise, is not known before; as long as the lease itself waits. */
const targetPatienceSeconds = 300;

class MigrationRun {
  readonly #context: RunContext;
  readonly #jobs: PlannedJobs;
  readonly #leavings: Leavings;
  readonly #steps: DatabaseSteps;
  readonly #copies: PatientCopies;

  constructor(context: RunContext) {
    this.#context = context;
    this.#jobs = new PlannedJobs(context);
    this.#leavings = new Leavings(context);
    this.#steps = new DatabaseSteps(context, this.#jobs, this.#leavings);
    this.#copies = new PatientCopies(context);
  }

  async run(): Promise<void> {
    const { signal } = this.#context;
    try {
      await unblocked(signal, () => this.#migrate());
    } catch (error) {
      const ending = new Ending(this.#context, this.#steps, this.#leavings);
      await ending.by(signal.aborted ? signal.reason : error);
    }
  }

  async #migrate(): Promise<void> {
    const { journal } = this.#context;
    await journal.event(`worker of generation ${journal.lease.generation} has taken over`);
    await takeOver(this.#context);
    if (!(await isPrepared(this.#context))) return;
    if (this.#context.wish.migrationOption === "Validate") return journal.state("Succeeded", "Completed");
    await journal.state("InProgress", "MigratingData");
    await this.#jobs.plan();
    const databases = await this.#context.currentDatabases();
    if (this.#context.wish.migrateRoles && databases.some(({ phase }) => phase === "queued"))
      await rideOut(this.#context.patience(), () => bringRoles(this.#steps.workOn(databases[0]!.name)));
    if (this.#context.wish.migrationMode === "Offline") await this.#copyAll(databases);
    else await new OnlineRun(this.#context, this.#steps, this.#copies, this.#leavings).run(databases);
    const { failure } = this.#steps;
    if (failure !== undefined) return journal.state("Failed", "Completed", failure);
    const allCanceled = (await this.#context.currentDatabases()).every(({ state }) => state === "Canceled");
    await journal.state(allCanceled ? "Canceled" : "Succeeded", "Completed");
  }

  async #copyAll(databases: readonly DatabaseRecord[]): Promise<void> {
    await this.#steps.allEnd(databases, async (database, work) => {
      work.signal.throwIfAborted();
      await this.#copies.run(database, work, (record) => copyDatabase(work, record));
      await work.journal.database(database.name, { phase: "done", state: "Succeeded", message: null });
    });
  }
}
