import pg from "pg";
import { Canceled, ContentDiffers, Refused, SourceAtRisk, TakenOver, messageOf } from "../errors.js";
import type { Wish } from "../inputs.js";
import { isConnectionLoss, isStarting } from "../postgres/connection-loss.js";
import type { Finding, Journal } from "../store/journal.js";
import { Lease } from "../store/lease.js";
import { occupiedDatabases, readDatabases, type DatabasePhase, type DatabaseRecord } from "../store/records.js";
import { Store } from "../store/store.js";
import { validate } from "../validation/validate.js";
import { aborted } from "./aborted.js";
import { copyDatabase } from "./base-copy.js";
import { Bell } from "../bell.js";
import { changeCaptureNames } from "../cdc/names.js";
import { inspectSlot } from "../cdc/slot-state.js";
import { connect, nameSessionsAfter, type Endpoint } from "../postgres/connect.js";
import { Confirmations } from "./confirmations.js";
import { defaultJobs, usualJobs } from "./default-jobs.js";
import { bearerName, endEarlierSessions, type Bearer, type WhichSessions } from "./earlier-sessions.js";
import { FollowedDatabase } from "./followed-database.js";
import { JobSlots } from "./job-slots.js";
import type { Job } from "./job.js";
import { LocalHelpers } from "./local-helpers.js";
import { Measuring } from "./measure.js";
import { Onlookers } from "./onlookers.js";
import { pause } from "./pause.js";
import { bringRoles } from "./roles.js";
import { readServerMetadata } from "./server-metadata.js";
import { rideOut, type Patience } from "./ride-out.js";
import { removeFence } from "./source-fence.js";
import { dropSourceObjects } from "./source-objects.js";
import { SourceSlots } from "./source-slots.js";
import { Standing } from "./standing.js";
import { RequestWatch } from "./watch-requests.js";
import { unblocked } from "./unblocked.js";
import { VerificationsOnRequest } from "./verifications-on-request.js";
import { WalGuard } from "./wal-guard.js";
import { removeWayBack } from "./way-back-objects.js";
import { placesOf, WayBack } from "./way-back.js";
import type { Work } from "./work.js";

type DatabaseStep = (database: DatabaseRecord, work: Work) => Promise<void>;

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
    try {
      await new MigrationRun(job, bearer, onlookers.journal, requests, stop).run();
    } finally {
      // A cancel has been obeyed by now, and is worth telling; a stop is not.
      await onlookers.close(requests.canceled ? stop : AbortSignal.any([stop, requests.signal]));
      requests.close();
      await measuring.close();
    }
  } finally {
    // What this process opens from here on may be as another worker's helper.
    nameSessionsAfter(undefined);
    await lease.release();
  }
}

/** The wish, which says otherwise, is not known before; as long as the lease itself waits. */
const targetPatienceSeconds = 300;
const databasesAtOnce = 4;
const lookForSlotsMs = 2000;

/** Names on the target that do not count as existing: an earlier try has made these databases. */
const ownDatabases = (databases: readonly DatabaseRecord[]): Set<string> =>
  new Set(databases.filter((one) => one.createdByUs || one.beingCreated).map((one) => one.targetName));

/** Neither copied nor followed any more, and not at its end. */
const isCutOver = (phase: DatabasePhase): boolean => phase === "reversing" || phase === "returned";

const hasEnded = (phase: DatabasePhase): boolean => phase === "done" || phase === "canceled";

class MigrationRun {
  readonly #signal: AbortSignal;
  readonly #tableSlots: JobSlots;
  readonly #indexSlots: JobSlots;
  #defaultJobs = usualJobs;
  /** Each database that is copied has a dozen sessions open; both servers have room for a hundred by default. */
  readonly #databaseSlots = new JobSlots(() => databasesAtOnce);
  /** One at a time: each reads all of a database, and takes a slot, of which the source need have only one to spare. */
  readonly #verificationSlots = new JobSlots(() => 1);
  readonly #helpers: LocalHelpers;
  /** Online, one a database, from before its slot is made until the stream has ended. */
  readonly #guards = new Map<string, WalGuard>();
  readonly #sourceSlots = new SourceSlots();
  /** Databases of this run that were canceled one by one. */
  readonly #canceled = new Set<string>();
  readonly #standing: Standing;

  constructor(
    readonly job: Job,
    readonly bearer: Bearer,
    readonly journal: Journal,
    readonly requests: RequestWatch,
    stop: AbortSignal,
  ) {
    this.#signal = AbortSignal.any([stop, requests.signal]);
    this.#tableSlots = new JobSlots(() => requests.wish.tableJobs ?? this.#defaultJobs.tableJobs);
    this.#indexSlots = new JobSlots(() => requests.wish.indexJobs ?? this.#defaultJobs.indexJobs);
    this.#standing = new Standing(journal);
    this.#helpers = new LocalHelpers(job, () => job.workers ?? requests.wish.workers, this.#signal);
  }

  async run(): Promise<void> {
    try {
      await unblocked(this.#signal, () => this.#steps());
    } catch (error) {
      await this.#end(this.#signal.aborted ? this.#signal.reason : error);
    }
  }

  get #wish(): Wish {
    return this.requests.wish;
  }

  /** What a database's steps work with. The wish in it is always the present one. */
  #workOn(database: string): Work {
    const { requests } = this;
    return {
      get wish() {
        return requests.wish;
      },
      source: this.job.source,
      target: this.job.target,
      journal: this.journal,
      generation: this.bearer.generation,
      bearer: this.bearer,
      signal: AbortSignal.any([this.#signal, requests.cancellationOf(database), ...this.#guardSignals(database)]),
      tableSlots: this.#tableSlots,
      indexSlots: this.#indexSlots,
    };
  }

  #guardSignals(database: string): readonly AbortSignal[] {
    const guard = this.#guards.get(database);
    return guard ? [guard.signal] : [];
  }

  async #steps(): Promise<void> {
    await this.journal.event(`worker of generation ${this.journal.lease.generation} has taken over`);
    await this.#endEarlierSessions();
    if (!(await this.#prepared())) return;
    if (this.#wish.migrationOption === "Validate") return this.journal.state("Succeeded", "Completed");
    await this.journal.state("InProgress", "MigratingData");
    await this.#planJobs();
    const databases = await this.#currentDatabases();
    if (this.#wish.migrateRoles && databases.some(({ phase }) => phase === "queued"))
      await rideOut(this.#patience(), () => bringRoles(this.#workOn(databases[0]!.name)));
    if (this.#wish.migrationMode === "Offline") await this.#migrateOffline(databases);
    else await this.#migrateOnline(databases);
    const allCanceled = (await this.#currentDatabases()).every(({ state }) => state === "Canceled");
    await this.journal.state(allCanceled ? "Canceled" : "Succeeded", "Completed");
  }

  /** They hold locks and snapshots that this worker would wait for. Where that cannot be, it does wait. */
  async #endEarlierSessions(): Promise<void> {
    const { source, target, maintenanceDatabase } = this.job;
    const { bearer } = this;
    if (bearer.generation === 1) return;
    const databases = await this.#currentDatabases();
    // A copy may go on under the snapshot that its former leader keeps, and ends it then.
    const spareSnapshotsIn = databases.filter(({ phase }) => phase === "copying").map(({ name }) => name);
    const end = async (side: string, endpoint: Endpoint, database: string, which: WhichSessions): Promise<void> => {
      try {
        const session = await connect(endpoint, { database, purpose: `${bearer.migration} take over` });
        const { ended, refused } = await endEarlierSessions(session, bearer, which).finally(() => session.end());
        if (ended > 0)
          await this.journal.event(`sessions that an earlier worker had left on the ${side} were ended: ${ended}`);
        if (refused.length > 0)
          await this.journal.event(`an earlier worker's sessions on the ${side} go on: ${refused.join("; ")}`, {
            level: "warning",
          });
      } catch (error) {
        if (!(error instanceof Refused || error instanceof pg.DatabaseError || isConnectionLoss(error))) throw error;
        const why = messageOf(error);
        await this.journal.event(`an earlier worker's sessions on the ${side} cannot be looked for: ${why}`, {
          level: "warning",
        });
      }
    };
    await end("target", target, maintenanceDatabase, {});
    await end("source", source, databases[0]!.name, { spareSnapshotsIn });
  }

  async #planJobs(): Promise<void> {
    const { tableJobs, indexJobs } = this.#wish;
    if (tableJobs !== undefined && indexJobs !== undefined) return;
    this.#defaultJobs = await rideOut(this.#patience(), () => defaultJobs(this.job, this.#wish));
    const [tables, indexes] = [this.#tableSlots.limit(), this.#indexSlots.limit()];
    await this.journal.event(`up to ${tables} tables are copied, and ${indexes} indexes built, at the same time`);
  }

  /** Waits for what is to be confirmed and validates. Whether the migration may go on. */
  async #prepared(): Promise<boolean> {
    const started = (await this.#currentDatabases()).filter(({ phase }) => phase !== "queued");
    const confirmations = new Confirmations({
      source: this.job.source,
      target: this.job.target,
      journal: this.journal,
      requests: this.requests,
      signal: this.#signal,
      ownDatabases: ownDatabases(await this.#currentDatabases()),
    });
    await confirmations.databasesSpecified();
    await this.#describeServers();
    if (started.length > 0) return true;
    await confirmations.sourceCanBeFollowed();
    await confirmations.overwriteAllowed();
    if (this.#wish.migrationOption !== "Migrate" && !(await this.#validated(confirmations.findings))) return false;
    if (this.#wish.migrationOption !== "Validate") await confirmations.mayStart();
    return true;
  }

  /**
   * What the servers are is only shown: one that does not let us in, or is not there, is the validation's business. One that
   * says that it is being restarted is waited for.
   */
  async #describeServers(): Promise<void> {
    const { migrationName, maintenanceDatabase, dbsToMigrate } = this.#wish;
    try {
      const source = await rideOut(this.#patience(isStarting), () =>
        readServerMetadata(this.job.source, dbsToMigrate[0]!, migrationName),
      );
      const target = await rideOut(this.#patience(isStarting), () =>
        readServerMetadata(this.job.target, maintenanceDatabase, migrationName),
      );
      await this.journal.servers(source, target);
    } catch (error) {
      if (!(error instanceof Refused || isConnectionLoss(error))) throw error;
      await this.journal.event(`a server cannot be described: ${messageOf(error)}`, { level: "warning" });
    }
  }

  /** Whether the migration may go on. */
  async #validated(prepared: readonly Finding[]): Promise<boolean> {
    await this.journal.state("InProgress", "ValidationInProgress");
    await this.journal.validationStarted();
    const findings = [...prepared, ...(await rideOut(this.#patience(), () => this.#validate()))];
    await this.journal.validationEnded(findings);
    const failed = findings.filter((finding) => finding.state === "Failed");
    if (failed.length === 0) return true;
    const text = `${failed.length} finding${failed.length > 1 ? "s" : ""} of the validation ${failed.length > 1 ? "have" : "has"} to be put right first`;
    await this.journal.state("ValidationFailed", "Completed", text);
    return false;
  }

  #validate(): Promise<Finding[]> {
    return this.#withStore(async (store) => {
      const { migrationName } = this.#wish;
      return validate({
        wish: this.#wish,
        source: this.job.source,
        target: this.job.target,
        ownDatabases: ownDatabases(await readDatabases(store, migrationName)),
        occupied: await occupiedDatabases(store, migrationName),
      });
    });
  }

  async #migrateOffline(databases: readonly DatabaseRecord[]): Promise<void> {
    await this.#eachDatabase(databases, async (database, work) => {
      work.signal.throwIfAborted();
      await this.#databaseSlots.run(() => this.#copying(database, work, (record) => copyDatabase(work, record)));
      await this.journal.database(database.name, { phase: "done", state: "Succeeded", message: null });
    });
  }

  async #migrateOnline(databases: readonly DatabaseRecord[]): Promise<void> {
    const followed = new Map<string, FollowedDatabase>();
    const cutovers: Promise<void>[] = [];
    this.#guardSources(databases, followed);
    try {
      await this.#followAll(databases, followed);
      const open = databases.filter(({ name, phase }) => !hasEnded(phase) && !this.#canceled.has(name));
      await this.#standing.begin(
        open.flatMap(({ name, phase }) => (isCutOver(phase) ? [] : [name])),
        followed,
      );
      await this.#firstFailureOf(open, async ({ name, phase, verification }, work) => {
        if (isCutOver(phase)) return this.#keepWayBack(name, work);
        const follower = followed.get(name) ?? (await this.#followLate(name, work, followed));
        const verifications = new VerificationsOnRequest(
          this.requests,
          follower,
          verification,
          this.#verificationSlots,
        );
        try {
          await Promise.race([
            this.requests.cutoverOf(name),
            aborted(work.signal),
            follower.failure,
            verifications.failure,
          ]);
        } finally {
          await verifications.end();
        }
        await this.#standing.is(name, "completing");
        // Behind the point the target stands for itself: nothing may send this database back to a copy.
        await this.#guards.get(name)?.stop();
        const cutover = follower.cutOver();
        cutovers.push(cutover);
        await cutover;
        await this.#keepWayBack(name, work);
      });
    } finally {
      this.#standing.end();
      // One that fails does not tear the others out of their cutovers.
      await Promise.allSettled(cutovers);
      await Promise.all([...followed.values(), ...this.#guards.values()].map((one) => one.stop()));
    }
  }

  /** Until the wish drops it or takes it; nothing where the cutover has opened none. */
  async #keepWayBack(name: string, work: Work): Promise<void> {
    const record = (await this.#currentDatabases()).find((one) => one.name === name);
    if (record?.phase === "returned") return WayBack.finishReturn(work, record);
    if (record?.phase !== "reversing") return this.#removeWayBack(name);
    await this.journal.database(name, { state: "Succeeded", message: null });
    await this.#standing.is(name, "kept");
    const wayBack = new WayBack(work, record);
    try {
      const decision = await Promise.race([this.requests.rollbackDecided(), aborted(work.signal), wayBack.failure]);
      await this.#standing.is(name, "completing");
      if (decision === "return") await wayBack.take();
      else await wayBack.drop();
    } finally {
      await wayBack.stop();
    }
  }

  /** Copies and follows a database for which the source has had no slot, once it has one. */
  async #followLate(name: string, work: Work, followed: Map<string, FollowedDatabase>): Promise<FollowedDatabase> {
    for (;;) {
      await pause(lookForSlotsMs, work.signal);
      work.signal.throwIfAborted();
      const record = (await this.#currentDatabases()).find((one) => one.name === name)!;
      await this.#follow(record, work, followed);
      const follower = followed.get(name);
      if (!follower) continue;
      if (!this.requests.isCutoverAsked(name)) await this.#standing.is(name, "awaitsCutover");
      return follower;
    }
  }

  /** Begins to follow a database, unless the source has no slot for it. */
  async #follow(record: DatabaseRecord, work: Work, followed: Map<string, FollowedDatabase>): Promise<void> {
    const one = await this.#databaseSlots.run(() =>
      this.#copying(record, work, async (present) => {
        const start = (): Promise<FollowedDatabase> => FollowedDatabase.start(work, present);
        const hasSlot = present.phase === "following" || present.phase === "finishing";
        return hasSlot ? start() : this.#sourceSlots.begin(work, present.name, start);
      }),
    );
    if (!one) return;
    followed.set(record.name, one);
    if (!this.requests.isCutoverAsked(record.name)) await one.takeDownFence();
  }

  /** Copies and follows every database; one that is copied early follows while the others are still copied. */
  async #followAll(databases: readonly DatabaseRecord[], followed: Map<string, FollowedDatabase>): Promise<void> {
    const bell = new Bell();
    // One that has ended, with whatever worker, has no step here.
    let copying = databases.filter(({ phase }) => !hasEnded(phase)).length;
    await this.#eachDatabase(databases, async (database, work) => {
      try {
        if (isCutOver(database.phase)) return;
        work.signal.throwIfAborted();
        await this.#follow(database, work, followed);
      } finally {
        copying--;
        bell.ring();
      }
      while (copying > 0) await Promise.race([bell.next, aborted(work.signal)]);
    }).finally(async () => {
      for (const name of this.#canceled) {
        await followed.get(name)?.stop();
        followed.delete(name);
      }
    });
  }

  /** Lets every database come to its end; throws what failed when all have. */
  async #eachDatabase(databases: readonly DatabaseRecord[], step: DatabaseStep): Promise<void> {
    const results = await Promise.allSettled(databases.map((database) => this.#one(database, step)));
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    if (failures.length === 1) throw failures[0]!;
    if (failures.length > 1) throw new AggregateError(failures);
  }

  /** Throws what fails first, without waiting for the others: they wait for the user. */
  async #firstFailureOf(databases: readonly DatabaseRecord[], step: DatabaseStep): Promise<void> {
    await Promise.all(
      databases.map(async (database) => {
        await this.#one(database, step);
        await this.#standing.is(database.name, "ended");
      }),
    );
  }

  /** One database's step. When it alone is canceled, that is its end, and the others go on. */
  async #one(database: DatabaseRecord, step: DatabaseStep): Promise<void> {
    if (database.phase === "done") return;
    if (database.phase === "canceled") return this.#letGo(database.name);
    const cancellation = this.requests.cancellationOf(database.name);
    try {
      const names = [database.name, database.targetName];
      const unblocking = AbortSignal.any([cancellation, ...this.#guardSignals(database.name)]);
      await unblocked(unblocking, () => step(database, this.#workOn(database.name)), names);
    } catch (error) {
      if (this.#signal.aborted || error instanceof TakenOver) throw error;
      if (cancellation.aborted) return this.#cancel(database);
      const [guarded] = this.#guardSignals(database.name);
      if (guarded?.reason instanceof SourceAtRisk) return this.#spareSource(database, guarded.reason);
      await this.journal.database(database.name, { state: "Failed", message: messageOf(error) });
      throw error;
    }
  }

  #guardSources(databases: readonly DatabaseRecord[], followed: ReadonlyMap<string, FollowedDatabase>): void {
    for (const { name } of databases.filter(({ phase }) => ["queued", "copying", "following"].includes(phase)))
      this.#guards.set(
        name,
        new WalGuard({
          ...{ server: this.job.source, side: "source", database: name, slotDatabase: name },
          slot: changeCaptureNames(this.job, name).slot,
          isHeldUp: () => followed.get(name)?.isHeldUp,
          ...{ journal: this.journal, wish: () => this.#wish },
        }),
      );
  }

  /** Without its slot a database cannot go on: it is canceled, or begun anew by the next try. */
  async #spareSource(database: DatabaseRecord, reason: SourceAtRisk): Promise<void> {
    await this.journal.event(reason.message, { database: database.name, level: "error" });
    if (this.#wish.onMaxRetainedWal === "cancel") return this.#cancel(database, reason.message);
    const present = (await this.#currentDatabases()).find(({ name }) => name === database.name);
    if (present) await this.#takeDownFence(present);
    // First: with the slot gone, a worker that is killed here must not leave a database that is followed.
    await this.journal.database(database.name, { state: "Failed", phase: "queued", message: reason.message });
    await this.#dropSourceObjects(database.name);
    throw reason;
  }

  /** Nothing on the target is dropped, as Azure's service has it; a slot on the source must not stay. */
  async #cancel({ name }: DatabaseRecord, why: string | null = null): Promise<void> {
    await this.journal.event("canceled", { database: name });
    // First: what a worker that is killed from here on leaves, its successor only cleans up after.
    await this.journal.database(name, { phase: "canceled", state: "Canceling", message: why });
    await this.#letGo(name);
  }

  /** Removes what a canceled database has on the source, and on the target for its way back. */
  async #letGo(name: string): Promise<void> {
    this.#canceled.add(name);
    const record = (await this.#currentDatabases()).find((one) => one.name === name);
    if (!record) return;
    if (record.slot !== undefined || record.publications.length > 0) await this.#dropSourceObjects(name);
    await this.#takeDownFence(record);
    await this.#removeWayBack(name);
    await this.journal.database(name, { state: "Canceled" });
  }

  /** Writes down how it ended. A worker that was told to stop, or was succeeded, leaves the state as it is. */
  async #end(error: unknown): Promise<void> {
    if (error instanceof TakenOver) {
      process.stdout.write(`${error.message}\n`);
      return;
    }
    if (error instanceof Canceled) return this.#endCanceled(error);
    await this.journal.event(messageOf(error), { level: "error" });
    const cleanUp = await this.#dropWhatFailedCopiesLeft(error);
    await this.journal.state("Failed", "Completed", [messageOf(error), ...cleanUp].join("\n"));
  }

  async #endCanceled(error: Canceled): Promise<void> {
    await this.journal.event(error.message);
    if (!this.requests.canceled) return;
    await this.journal.state("CleaningUp", "CancelingRequestedDBMigrations");
    const databases = await this.#currentDatabases();
    for (const { name, phase } of databases.filter((one) => one.phase !== "done")) {
      if (phase !== "canceled")
        await this.journal.database(name, { phase: "canceled", state: "Canceling", message: null });
      await this.#letGo(name);
    }
    await this.journal.state("Canceled", "Completed");
  }

  /**
   * A copy that failed is begun anew, so its slot only fills the source's disk; one that had come to following keeps its
   * slot, without which it could not go on.
   */
  async #dropWhatFailedCopiesLeft(error: unknown): Promise<string[]> {
    const notes: string[] = [];
    for (const database of await this.#currentDatabases()) {
      if (database.phase === "following")
        await this.#takeDownFence(database).catch((failure: unknown) => {
          notes.push(messageOf(failure));
        });
      if (database.hasWayBack)
        notes.push(
          `the way back of ${database.name} has a slot on the target, which retains WAL there until pulumi up goes on, rollback is drop, or pulumi destroy removes it`,
        );
      if (database.slot === undefined) continue;
      if (database.phase === "following" || database.phase === "finishing") {
        if (!(error instanceof ContentDiffers) && (await this.#retainsWal(database.slot, database.name)))
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

  /** As far as anybody knows, where the source does not answer. */
  async #retainsWal(slot: string, database: string): Promise<boolean> {
    try {
      const session = await connect(this.job.source, {
        ...{ database, purpose: `${this.#wish.migrationName} look at slot`, bookkeeping: true },
      });
      const state = await inspectSlot(session, slot).finally(() => session.end());
      return state !== undefined && state.walStatus !== "lost";
    } catch {
      return true;
    }
  }

  async #dropSourceObjects(database: string): Promise<void> {
    for (const note of await dropSourceObjects(this.job.source, this.job, database))
      await this.journal.event(note, { database, level: "warning" });
    await this.journal.database(database, { slot: null, publications: [] });
  }

  /** One that a cutover has left which does not come to its end. */
  async #takeDownFence({ name, fence }: DatabaseRecord): Promise<void> {
    if (!fence) return;
    await removeFence(this.job.source, name, fence);
    await this.journal.database(name, { fence: null });
  }

  async #removeWayBack(name: string): Promise<void> {
    const record = (await this.#currentDatabases()).find((one) => one.name === name);
    if (!record?.hasWayBack) return;
    await removeWayBack(placesOf(this.#workOn(name), record));
    await this.journal.wayBack(name, null);
  }

  async #currentDatabases(): Promise<DatabaseRecord[]> {
    return rideOut({ seconds: this.#wish.reconnectFor }, () =>
      this.#withStore((store) => readDatabases(store, this.job.migrationName)),
    );
  }

  /**
   * A copy whose servers were away begins anew when they are back, or goes on where somebody has kept its snapshot. A stream
   * waits for them by itself.
   */
  async #copying<T>(database: DatabaseRecord, work: Work, run: (record: DatabaseRecord) => Promise<T>): Promise<T> {
    let record = database;
    let canBeginAnew = false;
    const refresh = async (): Promise<void> => {
      record = (await this.#currentDatabases()).find(({ name }) => name === record.name) ?? record;
      canBeginAnew = record.phase === "queued" || record.phase === "copying";
    };
    const patience = { ...this.#patience((error) => canBeginAnew && isConnectionLoss(error)), signal: work.signal };
    const copy = (): Promise<T> =>
      rideOut(patience, async () => {
        try {
          return await run(record);
        } catch (error) {
          if (!work.signal.aborted && isConnectionLoss(error)) await refresh();
          throw error;
        }
      });
    const isToBeCopied = database.phase === "queued" || database.phase === "copying";
    return isToBeCopied ? this.#helpers.during(copy) : copy();
  }

  #patience(mayPass?: (error: unknown) => boolean): Patience {
    return {
      seconds: this.#wish.reconnectFor,
      signal: this.#signal,
      ...(mayPass ? { mayPass } : {}),
      onLost: (reason, retryInMs) =>
        this.journal.event(`the connection was lost (${reason}); trying again in ${retryInMs / 1000} s`, {
          level: "warning",
        }),
    };
  }

  async #withStore<T>(run: (store: Store) => Promise<T>): Promise<T> {
    const store = await Store.find(this.job, `${this.job.migrationName} records`);
    if (!store) throw new TakenOver(`the migration ${this.job.migrationName} is not recorded on the target any more`);
    return run(store).finally(() => store.close().catch(() => undefined));
  }
}
