import { Bell } from "../../bell.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import type { DatabasePhase, DatabaseRecord } from "../../store/records.js";
import { aborted } from "../../async/reject-on-abort.js";
import type { DatabaseStep, DatabaseSteps } from "./database-steps.js";
import { FollowedDatabase } from "../streaming/followed-database.js";
import { JobSlots } from "../../async/semaphore.js";
import type { Leavings } from "../cleanup/migration-cleanup.js";
import { type PatientCopies, isToBeCopied } from "../patient-copies.js";
import { pause } from "../../async/delay.js";
import type { RunContext } from "../context/run-context.js";
import { SourceSlots } from "../source-slots.js";
import { Standing, type Stand } from "../standing.js";
import { VerificationsOnRequest } from "./requested-verifications.js";
import { WalGuard } from "../monitoring/retained-wal-monitor.js";
import { WayBack } from "../rollback/rollback-replication.js";
import type { Work } from "../work.js";

const lookForSlotsMs = 2000;

/** Neither copied nor followed any more, and not at its end. */
const isCutOver = (phase: DatabasePhase): boolean => phase === "reversing" || phase === "returned";

const hasEnded = (phase: DatabasePhase): boolean => phase === "done" || phase === "canceled";

/** The databases of an online migration, each followed until its cutover, and then for as long as its way back is kept. */
export class OnlineRun {
  readonly #context: RunContext;
  readonly #steps: DatabaseSteps;
  readonly #copies: PatientCopies;
  readonly #leavings: Leavings;
  readonly #followed = new Map<string, FollowedDatabase>();
  readonly #cutovers: Promise<void>[] = [];
  readonly #sourceSlots = new SourceSlots();
  /** One at a time: each reads all of a database, and takes a slot, of which the source need have only one to spare. */
  readonly #verificationSlots = new JobSlots(() => 1);
  readonly #standing: Standing;

  constructor(context: RunContext, steps: DatabaseSteps, copies: PatientCopies, leavings: Leavings) {
    this.#context = context;
    this.#steps = steps;
    this.#copies = copies;
    this.#leavings = leavings;
    this.#standing = new Standing(context.journal, () => steps.failure);
  }

  /**
   * Until all have come to their end, or failed.
   *
   * @throws what ends the run, without waiting for the databases: they wait for the user
   */
  async run(databases: readonly DatabaseRecord[]): Promise<void> {
    this.#guardSources(databases);
    try {
      await this.#followAll(databases);
      const open = databases.filter(({ name, phase }) => !hasEnded(phase) && !this.#steps.canceled.has(name));
      await this.#standing.begin(open.map((database) => [database.name, this.#firstStandOf(database)]));
      await Promise.all(open.map((database) => this.#untilItsEnd(database)));
    } finally {
      this.#standing.end();
      // What ends the run does not tear databases out of their cutovers.
      await Promise.allSettled(this.#cutovers);
      await Promise.all([...this.#followed.values(), ...this.#steps.guards.values()].map((one) => one.stop()));
    }
  }

  #firstStandOf({ name, phase }: DatabaseRecord): Stand {
    if (this.#steps.hasFailed(name)) return "failed";
    if (isCutOver(phase)) return "cutOver";
    return this.#followed.has(name) ? "awaitsCutover" : "copying";
  }

  /** One that fails is guarded until the others have ended: its slot is kept for the next try. */
  async #untilItsEnd(database: DatabaseRecord): Promise<void> {
    const { name } = database;
    if (!this.#steps.hasFailed(name))
      await this.#steps.take(
        database,
        this.#unfollowing((record, work) => this.#bringToItsEnd(record, work)),
      );
    if (this.#steps.hasFailed(name)) {
      await this.#standing.is(name, "failed");
      await this.#guardOn(name);
      await this.#steps.take(database, (_record, { signal }) => Promise.race([this.#standing.over, aborted(signal)]));
    }
    await this.#standing.is(name, this.#steps.hasFailed(name) ? "failed" : "ended");
  }

  /** A step behind which nothing follows the database any more where it has not come to its end. */
  #unfollowing(step: DatabaseStep): DatabaseStep {
    return async (record, work) => {
      try {
        await step(record, work);
      } catch (error) {
        await this.#followed.get(record.name)?.stop();
        this.#followed.delete(record.name);
        throw error;
      }
    };
  }

  #guardSources(databases: readonly DatabaseRecord[]): void {
    for (const { name } of databases.filter(({ phase }) => ["queued", "copying", "following"].includes(phase)))
      this.#guardSource(name);
  }

  #guardSource(name: string): void {
    const { job, source, journal } = this.#context;
    this.#steps.guards.set(
      name,
      new WalGuard({
        ...{ server: source, side: "source", database: name, slotDatabase: name },
        slot: changeCaptureNames(job, name).slot,
        isHeldUp: () => this.#followed.get(name)?.isHeldUp,
        isCopied: () => this.#isToBeCopied(name),
        ...{ journal, wish: () => this.#context.wish },
      }),
    );
  }

  /** A cutover that has failed before its point, and for which the guard was stopped, leaves the slot as it was. */
  async #guardOn(name: string): Promise<void> {
    if (!this.#steps.guards.get(name)?.isStopped) return;
    const record = await this.#context.currentDatabase(name);
    if (record?.phase === "following" && record.slot !== undefined) this.#guardSource(name);
  }

  async #isToBeCopied(name: string): Promise<boolean> {
    const record = await this.#context.currentDatabase(name);
    return record !== undefined && isToBeCopied(record);
  }

  /** Copies and follows every database; one that is copied early follows while the others are still copied. */
  async #followAll(databases: readonly DatabaseRecord[]): Promise<void> {
    const bell = new Bell();
    // One that has ended, with whatever worker, has no step here.
    let copying = databases.filter(({ phase }) => !hasEnded(phase)).length;
    const followUntilAllAre = async (database: DatabaseRecord, work: Work): Promise<void> => {
      try {
        if (isCutOver(database.phase)) return;
        work.signal.throwIfAborted();
        await this.#follow(database, work);
      } finally {
        copying--;
        bell.ring();
      }
      const failure = this.#followed.get(database.name)?.failure;
      while (copying > 0) await Promise.race([bell.next, aborted(work.signal), ...(failure ? [failure] : [])]);
    };
    await this.#steps.allEnd(databases, this.#unfollowing(followUntilAllAre));
  }

  /** Begins to follow a database, unless the source has no slot for it. */
  async #follow(record: DatabaseRecord, work: Work): Promise<void> {
    const one = await this.#copies.run(record, work, async (present) => {
      const start = (): Promise<FollowedDatabase> => FollowedDatabase.start(work, present);
      const hasSlot = present.phase === "following" || present.phase === "finishing";
      return hasSlot ? start() : this.#sourceSlots.begin(work, present.name, start);
    });
    if (!one) return;
    this.#followed.set(record.name, one);
    if (!this.#context.requests.isCutoverAsked(record.name)) await one.takeDownFence();
  }

  /** Copies and follows a database for which the source has had no slot, once it has one. */
  async #followLate(name: string, work: Work): Promise<FollowedDatabase> {
    for (;;) {
      await pause(lookForSlotsMs, work.signal);
      work.signal.throwIfAborted();
      const record = (await this.#context.currentDatabase(name))!;
      await this.#follow(record, work);
      const follower = this.#followed.get(name);
      if (!follower) continue;
      if (!this.#context.requests.isCutoverAsked(name)) await this.#standing.is(name, "awaitsCutover");
      return follower;
    }
  }

  async #bringToItsEnd(record: DatabaseRecord, work: Work): Promise<void> {
    const { name, phase } = record;
    if (isCutOver(phase)) return this.#keepWayBack(name, work);
    const follower = this.#followed.get(name) ?? (await this.#followLate(name, work));
    await this.#untilCutoverIsAsked(record, work, follower);
    await this.#standing.is(name, "completing");
    // Behind the point the target stands for itself: nothing may send this database back to a copy.
    await this.#steps.guards.get(name)?.stop();
    const cutover = follower.cutOver();
    this.#cutovers.push(cutover);
    await cutover;
    await this.#keepWayBack(name, work);
  }

  async #untilCutoverIsAsked(record: DatabaseRecord, work: Work, follower: FollowedDatabase): Promise<void> {
    const { requests } = this.#context;
    const verifications = new VerificationsOnRequest(requests, follower, record.verification, this.#verificationSlots);
    try {
      await Promise.race([
        requests.cutoverOf(record.name),
        aborted(work.signal),
        follower.failure,
        verifications.failure,
      ]);
    } finally {
      await verifications.end();
    }
  }

  /** Until the wish drops it or takes it; nothing where the cutover has opened none. */
  async #keepWayBack(name: string, work: Work): Promise<void> {
    const record = await this.#context.currentDatabase(name);
    if (!record) return;
    if (record.phase === "returned") return WayBack.finishReturn(work, record);
    if (record.phase !== "reversing") return this.#leavings.removeWayBack(record);
    await work.journal.database(name, { state: "Succeeded", message: null });
    const wayBack = new WayBack(work, record);
    try {
      if (work.wish.rollback !== "return") await wayBack.takeDownFence();
      await this.#standing.is(name, "kept");
      const decided = this.#context.requests.rollbackDecided();
      const decision = await Promise.race([decided, aborted(work.signal), wayBack.failure]);
      await this.#standing.is(name, "completing");
      if (decision === "return") await wayBack.take();
      else await wayBack.drop();
    } finally {
      await wayBack.stop();
    }
  }
}
