import { Canceled, ContentDiffers, EngineFault, TakenOver, messageOf } from "../errors.js";
import type { Endpoint } from "../postgres/connect.js";
import { cancelOpenStatements } from "../postgres/open-sessions.js";
import { Journal } from "../store/journal.js";
import { Lease } from "../store/lease.js";
import {
  occupiedDatabases,
  readDatabases,
  readMigration,
  type DatabaseRecord,
  type MigrationRecord,
} from "../store/records.js";
import { Store } from "../store/store.js";
import { validate } from "../validation/validate.js";
import { dropSourceObjects } from "./source-objects.js";
import { copyDatabase } from "./base-copy.js";
import { FollowedDatabase } from "./followed-database.js";
import { JobSlots } from "./job-slots.js";
import type { Job } from "./job.js";
import { watchRequests, type RequestWatch } from "./watch-requests.js";
import type { Work } from "./work.js";

/**
 * Takes the lease of a migration and brings it as far as it goes: to its end, or to the wait for its cutover and, when
 * that is asked for, through it. Answers when there is nothing left to do, or somebody else does it.
 */
export async function runMigration(job: Job, stop: AbortSignal): Promise<void> {
  const address = { target: job.target, maintenanceDatabase: job.maintenanceDatabase };
  let lease: Lease;
  try {
    lease = await Lease.acquire(address, job.migrationName);
  } catch (error) {
    if (!(error instanceof TakenOver)) throw error;
    process.stdout.write(`${error.message}\n`);
    return;
  }
  try {
    const { record, databases, occupied } = await readWish(address, job.migrationName);
    await new MigrationRun(job, lease, record, databases, occupied, stop).run();
  } finally {
    await lease.release();
  }
}

async function readWish(
  address: { target: Endpoint; maintenanceDatabase: string },
  migration: string,
): Promise<{ record: MigrationRecord; databases: DatabaseRecord[]; occupied: Map<string, string> }> {
  const store = await Store.open(address, `${migration} wish`);
  try {
    const record = await readMigration(store, migration);
    if (!record) throw new EngineFault(`the migration ${migration} is not recorded on the target`);
    return {
      record,
      databases: await readDatabases(store, migration),
      occupied: await occupiedDatabases(store, migration),
    };
  } finally {
    await store.close();
  }
}

const cancelEveryMs = 1000;

class MigrationRun {
  readonly #journal: Journal;
  readonly #work: Work;
  readonly #requests: RequestWatch;

  constructor(
    readonly job: Job,
    lease: Lease,
    readonly record: MigrationRecord,
    readonly databases: readonly DatabaseRecord[],
    readonly occupied: ReadonlyMap<string, string>,
    stop: AbortSignal,
  ) {
    this.#journal = new Journal(lease);
    this.#requests = watchRequests(lease);
    this.#work = {
      wish: record.wish,
      source: job.source,
      target: job.target,
      journal: this.#journal,
      generation: lease.generation,
      signal: AbortSignal.any([stop, this.#requests.signal]),
      tableSlots: new JobSlots(record.wish.tableJobs),
      indexSlots: new JobSlots(record.wish.indexJobs),
    };
  }

  async run(): Promise<void> {
    try {
      await this.#unblocked(() => this.#steps());
    } catch (error) {
      await this.#end(this.#work.signal.aborted ? this.#work.signal.reason : error);
    } finally {
      this.#requests.close();
    }
  }

  /** Once told to stop, cancels the statements that still run, so that no lock and no index build holds the steps up. */
  async #unblocked(steps: () => Promise<void>): Promise<void> {
    const { signal } = this.#work;
    let timer: NodeJS.Timeout | undefined;
    const unblock = (): void => {
      timer = setInterval(() => void cancelOpenStatements(), cancelEveryMs);
    };
    signal.addEventListener("abort", unblock, { once: true });
    try {
      await steps();
    } finally {
      signal.removeEventListener("abort", unblock);
      clearInterval(timer);
    }
  }

  async #steps(): Promise<void> {
    const { wish } = this.record;
    await this.#journal.event(`worker of generation ${this.#work.generation} has taken over`);
    const started = this.databases.some(({ phase }) => phase !== "queued");
    if (!started && wish.migrationOption !== "Migrate" && !(await this.#validated())) return;
    if (wish.migrationOption === "Validate") return this.#journal.state("Succeeded", "Completed");
    await this.#journal.state("InProgress", "MigratingData");
    if (wish.migrationMode === "Offline") {
      await this.#eachDatabase((database) => this.#migrateOffline(database));
      return this.#journal.state("Succeeded", "Completed");
    }
    await this.#migrateOnline();
  }

  /** Whether the migration may go on. */
  async #validated(): Promise<boolean> {
    await this.#journal.state("InProgress", "ValidationInProgress");
    await this.#journal.validationStarted();
    const findings = await validate({
      wish: this.record.wish,
      source: this.job.source,
      target: this.job.target,
      ownDatabases: new Set(this.databases.filter((one) => one.createdByUs).map((one) => one.name)),
      occupied: this.occupied,
    });
    await this.#journal.validationEnded(findings);
    const failed = findings.filter((finding) => finding.state === "Failed");
    if (failed.length === 0) return true;
    const text = `${failed.length} finding${failed.length > 1 ? "s" : ""} of the validation ${failed.length > 1 ? "have" : "has"} to be put right first`;
    await this.#journal.state("ValidationFailed", "Completed", text);
    return false;
  }

  async #migrateOffline(database: DatabaseRecord): Promise<void> {
    if (database.phase === "done") return;
    await copyDatabase(this.#work, database);
    await this.#journal.database(database.name, { phase: "done", state: "Succeeded", message: null });
  }

  async #migrateOnline(): Promise<void> {
    const open = this.databases.filter(({ phase }) => phase !== "done");
    const followed: FollowedDatabase[] = [];
    try {
      await this.#eachDatabase(async (database) => {
        if (!open.includes(database)) return;
        followed.push(await FollowedDatabase.start(this.#work, database));
      });
      await this.#journal.state("WaitingForUserAction", "WaitingForCutoverTrigger");
      await this.#untilCutover(followed);
      await this.#journal.state("InProgress", "CompletingMigration");
      await Promise.all(followed.map((database) => database.cutOver()));
    } finally {
      await Promise.all(followed.map((database) => database.stop()));
    }
    await this.#journal.state("Succeeded", "Completed");
  }

  /** Waits for the request, a failure of a stream, or the order to stop, whichever comes first. */
  async #untilCutover(followed: readonly FollowedDatabase[]): Promise<void> {
    const aborted = new Promise<never>((_resolve, reject) => {
      const { signal } = this.#work;
      if (signal.aborted) reject(signal.reason as Error);
      else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
    await Promise.race([this.#requests.cutover, aborted, ...followed.map((database) => database.failure)]);
  }

  async #eachDatabase(migrate: (database: DatabaseRecord) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(
      this.databases.map(async (database) => {
        try {
          await migrate(database);
        } catch (error) {
          if (!this.#work.signal.aborted && !(error instanceof TakenOver))
            await this.#journal.database(database.name, { state: "Failed", message: messageOf(error) });
          throw error;
        }
      }),
    );
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    if (failures.length === 1) throw failures[0]!;
    if (failures.length > 1) throw new AggregateError(failures);
  }

  /** Writes down how it ended. A worker that was told to stop, or was succeeded, leaves the state as it is. */
  async #end(error: unknown): Promise<void> {
    if (error instanceof TakenOver) {
      process.stdout.write(`${error.message}\n`);
      return;
    }
    if (error instanceof Canceled) return this.#endCanceled(error);
    await this.#journal.event(messageOf(error), { level: "error" });
    const cleanUp = await this.#dropWhatFailedCopiesLeft(error);
    await this.#journal.state("Failed", "Completed", [messageOf(error), ...cleanUp].join("\n"));
  }

  async #endCanceled(error: Canceled): Promise<void> {
    await this.#journal.event(error.message);
    if (!this.#requests.canceled) return;
    await this.#journal.state("CleaningUp", "CancelingRequestedDBMigrations");
    const databases = await this.#currentDatabases();
    for (const database of databases.filter(({ phase }) => phase !== "done")) {
      if (database.slot !== undefined) await this.#dropSourceObjects(database.name);
      await this.#journal.database(database.name, { state: "Canceled" });
    }
    await this.#journal.state("Canceled", "Completed");
  }

  /**
   * A copy that failed is begun anew, so its slot only fills the source's disk; one that had come to following keeps its
   * slot, without which it could not go on.
   */
  async #dropWhatFailedCopiesLeft(error: unknown): Promise<string[]> {
    const notes: string[] = [];
    for (const database of await this.#currentDatabases()) {
      if (database.slot === undefined) continue;
      if (database.phase === "following" || database.phase === "finishing") {
        if (!(error instanceof ContentDiffers))
          notes.push(
            `the slot ${database.slot} is kept on the source and retains WAL there until pulumi up goes on or pulumi destroy removes it`,
          );
        continue;
      }
      await this.#dropSourceObjects(database.name).catch((failure: unknown) => {
        notes.push(messageOf(failure));
      });
    }
    return notes;
  }

  async #dropSourceObjects(database: string): Promise<void> {
    await dropSourceObjects(this.job.source, this.record.name, database);
    await this.#journal.database(database, { slot: null, publications: [] });
  }

  async #currentDatabases(): Promise<DatabaseRecord[]> {
    const { databases } = await readWish(
      { target: this.job.target, maintenanceDatabase: this.job.maintenanceDatabase },
      this.record.name,
    );
    return databases;
  }
}
