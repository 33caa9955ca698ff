import { setTimeout as sleep } from "node:timers/promises";
import pg, { type Client } from "pg";
import type { Follower, FollowOptions } from "../cdc/follow.js";
import { ChangeRefused } from "../cdc/applier.js";
import { ShapeDiffers } from "../cdc/binding.js";
import { currentLsn } from "../cdc/lag.js";
import { followKeys } from "../cdc/publication.js";
import { changeCaptureNames } from "../cdc/names.js";
import { Canceled, ContentDiffers, HeldUp, Refused, messageOf } from "../errors.js";
import { connect } from "../postgres/connect.js";
import { qualify } from "../postgres/identifiers.js";
import { type Table, listTables } from "../postgres/tables.js";
import { digestsOf, readDefinitions, type Redefined, redefinedSince } from "../schema/definitions.js";
import { catalogueKey } from "../schema/entries.js";
import { targetDatabase } from "../target-database.js";
import { compareSchema, type SchemaDifference } from "../verify/compare-schema.js";
import { keptBackOf, type Remainder } from "./base-copy.js";
import { type NewObjects, type Restored, joinTables, restoreGroundwork, restoreMissing } from "./new-objects.js";
import { outlivedShape } from "./outlived-shape.js";
import { pause } from "./pause.js";
import {
  StreamTampered,
  readGiven,
  readSourceMark,
  readTableForms,
  readTables,
  replacedSince,
  sumOfFiles,
  withPresentFiles,
} from "./source-mark.js";
import { type Decision, type SchemaDrift, readDrift, schemaFingerprint } from "./schema-drift.js";
import { tablesInScope } from "./tables-in-scope.js";
import type { Work } from "./work.js";

/** What a stream hands on to the cutover and to a successor. Plain JSON: the store keeps it. */
export interface Following extends Remainder {
  /** Qualified names of the tables that are followed. */
  readonly followed?: readonly string[];
  /** Of these, those whose copy was begun and is not known to be complete. */
  readonly joining?: readonly string[];
}

const lookEveryMs = 3000;
const lookWhilePausedMs = 1000;

interface Sessions {
  readonly source: Client;
  readonly target: Client;
}

/**
 * The stream of one database, from follower to follower: where the source's schema changes on the way, what was added is
 * carried over, and what cannot be told from the catalogue stops the stream until somebody has run a statement.
 */
export class LiveStream {
  /** Rejects when the stream has failed for good. */
  readonly failed: Promise<never>;
  readonly #work: Work;
  readonly #database: string;
  readonly #follow: (changes?: Partial<FollowOptions>) => Follower;
  #following: Following;
  #follower: Follower;
  #fail: (error: unknown) => void = () => undefined;
  #hasFailed = false;
  /** How often the target's tables were altered here. */
  #alterations = 0;
  /** How often they had been when the follower began. */
  #alterationsSeen = 0;
  readonly #stopped = new AbortController();
  #paused: string | undefined;
  #fingerprint: string | undefined;
  /** {@link sumOfFiles} at the last look. */
  #files: string | undefined;
  /** What the follower failed by last, of which it was started again. */
  #revivedFrom: string | undefined;
  /** Names, qualified and quoted, by which the stream will call tables that are called otherwise now, or are gone. */
  readonly #formerNames = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #watching: Promise<void>;

  /** @param follow starts a follower of this database */
  constructor(
    work: Work,
    database: string,
    following: Following,
    follow: (changes?: Partial<FollowOptions>) => Follower,
  ) {
    this.#work = work;
    this.#database = database;
    this.#following = following;
    this.#follow = follow;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // For those who race it; one who does not must not lose the process by it.
    this.failed.catch(() => (this.#hasFailed = true));
    this.#follower = this.#start();
    this.#watching = this.#watch();
  }

  /** Whether {@link failed} has rejected: no other follower will come. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether changes have come that the target has not taken. */
  get isHeldUp(): boolean {
    return this.#follower.status().pendingTransactions > 0;
  }

  get following(): Following {
    return this.#following;
  }

  /**
   * Runs with the stream to itself, the source's schema carried over.
   *
   * @param whole with all of it, also what no change of a table tells of, as new functions and views
   * @throws Refused when the stream is paused, naming what has to be run on the target; naming what that still lacks
   */
  async exclusively<Result>(run: (follower: Follower) => Promise<Result>, whole = false): Promise<Result> {
    // The statement may have been run just now.
    if (this.#paused !== undefined) await sleep(2 * lookWhilePausedMs);
    if (this.#paused !== undefined) throw this.#pausedError(this.#paused);
    return this.#inTurnUnlessPaused(async () => {
      await this.#carryAll();
      // A table that came meanwhile is there by now, and has to be copied.
      if (whole && (await this.#completeSchema())) await this.#carryAll();
      for (let isFirst = true; ; isFirst = false) {
        try {
          return await run(this.#follower);
        } catch (error) {
          // It may have come to a table in its new shape before that was carried over, and have ended by it.
          if (tableOf(error) === undefined) throw error;
          const isOutlived = await this.#outlives(error);
          if (!isFirst && !isOutlived) throw error;
          await this.#follower.stop();
          await this.#carryAll();
          this.#follower = this.#start();
        }
      }
    });
  }

  /** Until no table is left that was replaced while others were copied: its changes would be missing. */
  async #carryAll(): Promise<void> {
    do await this.#carry("once");
    while ((this.#following.joining ?? []).length > 0);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#follower.stop();
    await this.#watching;
    await this.#turn.catch(() => undefined);
    await this.#follower.stop();
  }

  #inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(run, run);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Whoever has the turn may be waiting for a statement to be run, for as long as that takes. */
  async #inTurnUnlessPaused<Result>(run: () => Promise<Result>): Promise<Result> {
    const givenUp = new AbortController();
    const come = new AbortController();
    const result = this.#inTurn(() => {
      givenUp.signal.throwIfAborted();
      come.abort();
      return run();
    });
    // For those who await it; one who gives up does not.
    result.catch(() => undefined);
    while (this.#paused === undefined && !come.signal.aborted) await pause(lookWhilePausedMs, come.signal);
    if (this.#paused === undefined || come.signal.aborted) return result;
    givenUp.abort();
    throw this.#pausedError(this.#paused);
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** What a table's copy will bring, the stream must not: until the copy is complete its changes are left out. */
  #start(): Follower {
    const follower = this.#follow({ leaveOut: new Set(this.#following.joining) });
    const alterations = this.#alterations;
    this.#alterationsSeen = alterations;
    follower.finished.catch((error: unknown) => {
      if (follower === this.#follower && !this.#isStopped())
        void this.#inTurn(() => this.#revive(follower, error, alterations)).catch(this.#fail);
    });
    return follower;
  }

  /**
   * Goes on after a change that the target could not take, when the schema says why and that can be put right, or was while
   * the follower still went by the older one.
   */
  async #revive(follower: Follower, error: unknown, alterationsAtStart: number): Promise<void> {
    if (this.#isStopped() || follower !== this.#follower) return;
    if (!maySchemaBeWhy(error)) throw error;
    // What it is copied anew by has to pass all the others' changes.
    const stuckAt = (await this.#outlives(error)) ? undefined : tableOf(error);
    const carried = await this.#carry("untilPutRight", stuckAt).catch((held: unknown) => {
      if (held instanceof HeldUp) return held;
      throw held;
    });
    if (carried instanceof HeldUp) {
      // The next look goes on with it, whatever it finds.
      this.#fingerprint = undefined;
      await this.#sayHeldUp(carried);
      if (follower === this.#follower) this.#follower = this.#start();
      return;
    }
    const isAgain = messageOf(error) === this.#revivedFrom;
    this.#revivedFrom = messageOf(error);
    const isHelped = carried === "changed" || this.#alterations !== alterationsAtStart;
    if (!isHelped && (carried === "same" || isAgain)) throw error;
    if (follower === this.#follower) this.#follower = this.#start();
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped()) {
      await pause(lookEveryMs, this.#stopped.signal);
      if (this.#isStopped()) return;
      await this.#inTurn(() => this.#look());
    }
  }

  async #look(): Promise<void> {
    try {
      const source = await connect(this.#work.source, { database: this.#database, purpose: "watch schema" });
      try {
        await this.#keepFiles(source);
        const now = await schemaFingerprint(source);
        if (now === this.#fingerprint) return;
      } finally {
        await source.end();
      }
      await this.#carry("untilPutRight");
    } catch (error) {
      if (this.#isStopped()) return;
      if (error instanceof StreamTampered) {
        this.#fail(error);
        return;
      }
      if (error instanceof HeldUp) {
        await this.#sayHeldUp(error).catch(this.#fail);
        return;
      }
      // The stream itself goes on; what it cannot take without this stops it, and tells.
      await this.#say(`the source's schema could not be compared: ${messageOf(error)}`, "warning").catch(this.#fail);
    }
  }

  #sayHeldUp(error: HeldUp): Promise<void> {
    return this.#say(`what has become of the source's schema waits to be carried over: ${messageOf(error)}`, "warning");
  }

  async #keepFiles(source: Client): Promise<void> {
    const files = await sumOfFiles(source);
    if (files === this.#files) return;
    const { mark } = this.#following;
    if (mark?.forms)
      await this.#keep({ mark: { ...mark, forms: withPresentFiles(mark.forms, await readTableForms(source)) } });
    this.#files = files;
  }

  /**
   * @param table the one that the stream cannot go on with; others may be written in their older shape behind it
   * @returns whether the target was changed; `othersRest` when it was not, and only other tables wait for statements: this one's
   *   may have been run just before
   */
  async #carry(patience: "once" | "untilPutRight", table?: string): Promise<"changed" | "same" | "othersRest"> {
    const { work, sessions, end } = await this.#open();
    try {
      const fingerprint = await schemaFingerprint(sessions.source);
      if (fingerprint !== this.#fingerprint) await this.#followKeys(sessions.source);
      const tables = await readTables(sessions.source);
      const given = await readGiven(sessions.source);
      const drift = await this.#drift(sessions);
      // What is added, here or by hand, may need it.
      const isDue = drift.additions.length + drift.byHand.length > 0 && !drift.awaitsSchema;
      if (isDue && (await this.#lacksObjects(work, isGroundwork))) await restoreGroundwork(work, drift.renamedTypes);
      const settled = drift.byHand.length > 0 ? await this.#pause(sessions, drift, patience, table) : drift;
      // The rest is at stake when the stream comes to it; until then its tables keep their older shape on the target.
      if (settled.byHand.length > 0) {
        const changed = await this.#apply(work, { ...settled, newTables: [] }, false);
        return changed || settled !== drift ? "changed" : "othersRest";
      }
      const { mark } = this.#following;
      const changed = await this.#apply(work, settled, fingerprint !== this.#fingerprint);
      // The stream has come to what it cannot take yet, and will be looked after.
      const late = settled.late.length > 0 ? await this.#applyLate(sessions, work, settled.late) : "none";
      if (late === "notCome") return changed ? "changed" : "same";
      // What was added is the target's too by now; where tables were copied, there is a newer mark.
      const present = this.#following.mark;
      const isNewer = present?.highestOid !== mark?.highestOid;
      if (fingerprint !== this.#fingerprint && present)
        await this.#keep({ mark: { ...present, ...(isNewer ? {} : tables), given } });
      // A column that was made anew has lost its indexes and constraints: the next look restores them.
      this.#fingerprint = late === "some" ? undefined : fingerprint;
      return changed || settled !== drift ? "changed" : "same";
    } finally {
      await end();
    }
  }

  async #apply(objects: NewObjects, drift: SchemaDrift, fingerprintChanged: boolean): Promise<boolean> {
    for (const sql of drift.additions) {
      await objects.target.query(sql);
      await this.#say(`carried over from the source: ${sql}`);
    }
    if (drift.additions.length > 0) this.#alterations++;
    const joins = drift.newTables.length + this.#formerNames.size > 0;
    if (joins) await this.#join(objects, drift.newTables);
    else if (fingerprintChanged && (await this.#lacksObjects(objects)))
      await this.#adopt(await this.#restoreMissing(objects));
    if (joins) this.#alterations++;
    return joins || drift.additions.length > 0;
  }

  /**
   * @param due what was read before the stream is brought up: rows that it still brings may violate what is read later
   * @returns how much of it the target has taken; `notCome` when the stream does not come to where the source demands all
   *   this of its rows
   */
  async #applyLate(
    sessions: Sessions,
    objects: NewObjects,
    due: readonly string[],
  ): Promise<"none" | "some" | "notCome"> {
    try {
      if (!(await this.#catchUp(objects))) return "notCome";
      // Some of it may have come with what was restored, or be the source's no more.
      const { late } = await this.#drift(sessions);
      let taken: "none" | "some" = "none";
      for (const sql of due.filter((one) => late.includes(one)))
        if (await this.#tryStatement(objects.target, sql)) taken = "some";
      return taken;
    } finally {
      this.#follower.resume();
    }
  }

  /** Whether the target has taken it. */
  async #tryStatement(target: Client, sql: string): Promise<boolean> {
    try {
      await target.query(sql);
      await this.#say(`carried over from the source: ${sql}`);
      return true;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      await this.#say(`could not be carried over from the source: ${sql}: ${error.message}`, "warning");
      return false;
    }
  }

  /** Rests behind all that has committed on the source by now. @throws HeldUp, and whatever the follower has failed by */
  async #drain(source: Client): Promise<void> {
    // Before the position is read: on a busy source a later commit would be in the batch at hand.
    await this.#follower.hold();
    await this.#follower.drainTo(await currentLsn(source));
  }

  /** @returns false when the stream has come to what the target cannot take yet */
  async #catchUp({ source }: NewObjects): Promise<boolean> {
    for (;;) {
      try {
        await this.#drain(source);
        return true;
      } catch (error) {
        if (!maySchemaBeWhy(error)) throw error;
        if (this.#alterationsSeen === this.#alterations) return false;
        // The target has been altered since, perhaps for just that.
        await this.#follower.stop();
        this.#follower = this.#start();
      }
    }
  }

  /** Dumps are only made where the catalogues say that there is something to find in them. */
  async #lacksObjects(objects: NewObjects, ofKind: (kind: string) => boolean = () => true): Promise<boolean> {
    return (await this.#differences(objects)).some(
      ({ kind, source: form }) => ofKind(kind) && (form === undefined || (kind === "constraint" && form === "valid")),
    );
  }

  /** Whether the stream has ended at a shape that no target can have any more: the table is to be copied anew then. */
  async #outlives(error: unknown): Promise<boolean> {
    if (!(error instanceof ShapeDiffers)) return false;
    const source = await connect(this.#work.source, { database: this.#database, purpose: "look at a table" });
    try {
      const outlived = await outlivedShape(source, error.relation);
      if (!outlived) return false;
      const { present } = outlived;
      await this.#say(
        `the stream tells of ${error.table} as it was for a while only: ${present === undefined ? "it is gone by now" : `${present} is copied anew`}`,
      );
      if (present !== error.table) this.#formerNames.add(error.table);
      if (present !== undefined) await this.#keep({ joining: [...new Set(this.#following.joining).add(present)] });
      return true;
    } finally {
      await source.end();
    }
  }

  /** At once, also where the stream is going to be paused: the source's applications go on. */
  async #followKeys(source: Client): Promise<void> {
    const { wish } = this.#work;
    const names = changeCaptureNames(wish, this.#database);
    const keyless = await followKeys(source, names, await tablesInScope(source, wish), { keyless: wish.keylessTables });
    if (keyless.length === 0) return;
    const tables = keyless.map(({ schema, name }) => qualify(schema, name)).join(", ");
    await this.#say(
      `${tables} on the source has no key any more: only inserts are followed; an UPDATE or DELETE there is found at the cutover as a difference`,
      "warning",
    );
  }

  #differences({ source, target }: NewObjects): Promise<SchemaDifference[]> {
    const { without, handover, keptBack } = this.#following;
    // They fire for what is applied, too, so the target gets them after the cutover.
    const fires = handover.filter(({ type }) => type === "TRIGGER" || type === "RULE");
    const later = [...fires, ...(keptBack?.firing ?? [])].map(catalogueKey);
    return compareSchema(source, target, { without: new Set([...without, ...later]) });
  }

  /** Whether there was anything to bring. @throws Refused naming what the target still lacks */
  async #completeSchema(): Promise<boolean> {
    const { work: objects, end } = await this.#open();
    try {
      const before = this.#following.mark?.definitions ?? {};
      const redefined = redefinedSince(before, await readDefinitions(objects.source));
      if (redefined.length === 0 && !(await this.#lacksObjects(objects))) return false;
      await this.#adopt(await this.#restoreMissing(objects, redefined));
      const lacking = (await this.#differences(objects)).filter(({ source: form }) => form === undefined);
      if (lacking.length > 0) throw lacksError(this.#database, this.#targetName, lacking);
      return true;
    } finally {
      await end();
    }
  }

  /** What it validates are the rows of a moment that the source had the constraint at, at which the stream rests. */
  async #restoreMissing(objects: NewObjects, redefined: readonly Redefined[] = []): Promise<Restored> {
    // Before the dump: what is changed between the two is carried over once more, the next time.
    const now = digestsOf(await readDefinitions(objects.source));
    try {
      const restored = await restoreMissing(objects, { catchUp: () => this.#catchUp(objects), redefined });
      const { mark } = this.#following;
      const definitions = { ...now, ...mark?.definitions, ...digestsOf(redefined) };
      if (mark) await this.#keep({ mark: { ...mark, definitions } });
      return restored;
    } finally {
      this.#follower.resume();
    }
  }

  /** However many shapes the stream tells of that nobody has any more. */
  async #join(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    try {
      for (let tables = newTables; !(await this.#isJoined(objects, tables));) {
        const joining = new Set(this.#following.joining);
        const present = await tablesInScope(objects.source, this.#work.wish);
        tables = present.filter(({ schema, name }) => joining.has(qualify(schema, name)));
      }
    } finally {
      if (!this.#isStopped()) this.#follower = this.#start();
    }
  }

  /** False when one more table turns out to have outlived what the stream tells of it. */
  async #isJoined(objects: NewObjects, tables: readonly Table[]): Promise<boolean> {
    try {
      await this.#joinOnce(objects, tables);
      return true;
    } catch (error) {
      if (!(await this.#outlives(error))) throw error;
      return false;
    }
  }

  async #joinOnce(objects: NewObjects, newTables: readonly Table[]): Promise<void> {
    const names = newTables.map(({ schema, name }) => qualify(schema, name));
    if (names.length > 0) await this.#say(`new on the source, or replaced there, to be copied: ${names.join(", ")}`);
    await this.#keep({ joining: names });
    await this.#follower.stop();
    const leaveOut = new Set([...names, ...this.#formerNames]);
    const tables = await tablesInScope(objects.source, this.#work.wish);
    const bridge = (): Follower => (this.#follower = this.#follow({ leaveOut }));
    const { mark, ...restored } = await joinTables(objects, tables, newTables, bridge);
    await this.#adopt(restored);
    // The new mark knows nothing of what was replaced meanwhile and not copied with these.
    const replaced = await this.#replaced(objects.source);
    const followed = tables.map(({ schema, name }) => qualify(schema, name));
    const joining = followed.filter((name) => replaced.has(name) && !names.includes(name));
    // What was there before has not been given to the target anew.
    const definitions = { ...mark.definitions, ...this.#following.mark?.definitions };
    const given = this.#following.mark?.given ?? mark.given;
    await this.#keep({ joining, followed, mark: { ...mark, definitions, ...(given ? { given } : {}) } });
    this.#formerNames.clear();
  }

  /** What runs after the cutover is that of the newest dump. */
  async #adopt({ plan, missing }: Restored): Promise<void> {
    const ownDefaults = this.#following.handover.filter(({ type }) => type === "DEFAULT");
    await this.#keep({
      handover: [...plan.handover, ...ownDefaults],
      keptBack: keptBackOf(plan),
      materializedViews: plan.materializedViews,
      without: [...new Set([...this.#following.without, ...missing])],
    });
  }

  /** Rests behind the last change of the older shape until the target is as the source, for as long as that takes. */
  async #pause(
    sessions: Sessions,
    drift: SchemaDrift,
    patience: "once" | "untilPutRight",
    stuckAt: string | undefined,
  ): Promise<SchemaDrift> {
    if (patience === "once") throw this.#pausedError(textOf(drift.byHand));
    await this.#say(`the source's schema has changed; the stream rests for it: ${textOf(drift.byHand)}`, "warning");
    try {
      const now = await this.#untilPutRight(sessions, drift, stuckAt);
      await this.#say("goes on: the target's schema has been changed as the source's");
      return now;
    } finally {
      // Whatever has ended it: nobody else would let the stream go on.
      this.#paused = undefined;
      this.#follower.resume();
      // A successor pauses for the same.
      if (!this.#isStopped()) await this.#work.journal.database(this.#database, { message: null });
    }
  }

  async #untilPutRight(sessions: Sessions, drift: SchemaDrift, stuckAt: string | undefined): Promise<SchemaDrift> {
    const stuck = stuckAt ?? (await this.#applyOlderShapes(sessions.source));
    // A table that waits for its copy waits for all: the copy has to pass the others' changes.
    const isCopied = drift.newTables.some(({ schema, name }) => qualify(schema, name) === stuck);
    const table = isCopied ? undefined : stuck;
    const isAtStake = (one: Decision): boolean => table === undefined || one.tables.includes(table);
    let now = drift;
    while (now.byHand.some(isAtStake)) {
      await this.#showPaused(textOf(now.byHand.filter(isAtStake)));
      if (this.#isStopped()) throw new Canceled("following was stopped");
      await pause(lookWhilePausedMs, this.#stopped.signal);
      now = await this.#drift(sessions);
    }
    return now;
  }

  async #showPaused(statements: string): Promise<void> {
    if (statements === this.#paused) return;
    this.#paused = statements;
    const message = `paused: the source's schema has changed; run on the target, in ${this.#targetName}: ${statements}`;
    await this.#work.journal.database(this.#database, { message });
    await this.#say(message, "warning");
  }

  /**
   * All that was written before the change has to be applied before the target is altered, which could not take it then.
   *
   * @returns the table that the stream came to a new shape of
   */
  async #applyOlderShapes(source: Client): Promise<string | undefined> {
    try {
      await this.#drain(source);
      return undefined;
    } catch (error) {
      if (!maySchemaBeWhy(error)) throw error;
      return (await this.#outlives(error)) ? undefined : tableOf(error);
    }
  }

  async #drift({ source, target }: Sessions): Promise<SchemaDrift> {
    const sourceTables = await tablesInScope(source, this.#work.wish);
    const targetTables = await listTables(target);
    const here = new Set(targetTables.map(({ schema, name }) => qualify(schema, name)));
    // The base copy has just made the target as the source was.
    if (!this.#following.followed) await this.#keep({ followed: [...here] });
    const followed = this.#following.followed ?? [];
    const replaced = await this.#replaced(source);
    const { mark } = this.#following;
    const shapes = { source, target, sourceTables, targetTables, followed: new Set(followed), mark };
    const drift = await readDrift(shapes);
    const again = sourceTables.filter(({ schema, name }) => {
      const table = qualify(schema, name);
      return here.has(table) && (replaced.has(table) || (this.#following.joining ?? []).includes(table));
    });
    return { ...drift, newTables: [...drift.newTables, ...again] };
  }

  /** Their copy is outdated, and the stream does not know: they are copied anew. */
  async #replaced(source: Client): Promise<Set<string>> {
    const names = changeCaptureNames(this.#work.wish, this.#database);
    if (this.#following.mark) return replacedSince(source, names, this.#following.mark);
    // Begun by an earlier version.
    await this.#keep({ mark: await readSourceMark(source, names) });
    return new Set();
  }

  async #keep(changes: Partial<Following>): Promise<void> {
    this.#following = { ...this.#following, ...changes };
    await this.#work.journal.database(this.#database, { handover: this.#following });
  }

  async #open(): Promise<{ sessions: Sessions; work: NewObjects; end: () => Promise<void> }> {
    const { source, target, wish } = this.#work;
    const purpose = `${wish.migrationName} carry schema`;
    const opening = [
      connect(source, { database: this.#database, purpose }),
      connect(target, { database: this.#targetName, purpose }),
    ] as const;
    const end = async (): Promise<void> => {
      const opened = await Promise.allSettled(opening);
      await Promise.all(opened.flatMap((one) => (one.status === "fulfilled" ? [one.value.end()] : [])));
    };
    const [from, to] = await Promise.all(opening).catch(async (error: unknown) => {
      await end();
      throw error;
    });
    const sessions = { source: from, target: to };
    const { sourceSearchPath, plugin, keptBack } = this.#following;
    const keepsBackFiring = keptBack !== undefined;
    return {
      sessions,
      work: { work: this.#work, database: this.#database, ...sessions, sourceSearchPath, plugin, keepsBackFiring },
      end,
    };
  }

  get #targetName(): string {
    return targetDatabase(this.#work.wish, this.#database);
  }

  #say(message: string, level: "info" | "warning" = "info"): Promise<void> {
    return this.#work.journal.event(message, { database: this.#database, level });
  }

  #pausedError(statements: string): Refused {
    return new Refused(
      `${this.#database} is paused: the source's schema has changed in a way that is yours to decide`,
      {
        remedy: `on the target, in ${this.#targetName}: ${statements}; the stream then goes on by itself`,
        code: "603130",
      },
    );
  }
}

/** A rule that the source has given up refuses its rows on the target, as if they were others. A lock is no matter of the schema. */
const maySchemaBeWhy = (error: unknown): boolean =>
  (error instanceof Refused && !(error instanceof HeldUp)) || error instanceof ContentDiffers;

/** As compareSchema calls what {@link restoreGroundwork} brings. */
const isGroundwork = (kind: string): boolean =>
  ["schema", "extension", "type", "domain", "sequence", "function"].includes(kind);

const mostNamed = 10;

function lacksError(database: string, targetName: string, lacking: readonly SchemaDifference[]): Refused {
  const names = lacking.map(({ kind, name }) => `${kind} ${name}`);
  const rest = names.length > mostNamed ? ` and ${names.length - mostNamed} more` : "";
  return new Refused(
    `${database} is not cut over: the target lacks ${names.slice(0, mostNamed).join(", ")}${rest}, made on the source while it was followed, and could not be given it`,
    {
      remedy: `create it on the target, in ${targetName}, where something else may have its name, or drop it on the source; then cut over again`,
      code: "603130",
    },
  );
}

const tableOf = (error: unknown): string | undefined =>
  error instanceof ShapeDiffers || error instanceof ChangeRefused ? error.table : undefined;

const textOf = (decisions: readonly Decision[]): string => decisions.map(({ sql }) => sql).join("; ");
