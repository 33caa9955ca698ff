import pg, { type Client } from "pg";
import { delay } from "../../async/delay.js";
import { changeCaptureNames } from "../../cdc/model/names.js";
import { followKeys } from "../../cdc/source/publication.js";
import { qualify } from "../../postgres/identifiers.js";
import { isLockTimeout, lockTimeoutSeconds } from "../../postgres/locks/lock-waits.js";
import { listTables, type Table } from "../../postgres/tables.js";
import { isCutRelation, readSelection } from "../../schema/plan/selection.js";
import { withSyncSessions } from "./sync-sessions.js";
import { ConcurrentChangeError } from "../../errors.js";
import type { FollowedTables } from "../schema-diff/followed-tables.js";
import type { Followers } from "../followers/followers.js";
import { insertOnlyFinding } from "./insert-only-finding.js";
import { MissingObjects } from "./missing-objects.js";
import type { NewObjects } from "./new-objects.js";
import { readDrift, type SchemaDrift } from "../schema-diff/schema-drift.js";
import { schemaFingerprint } from "../schema-diff/schema-fingerprint.js";
import {
  type ObservedSchema,
  isAsNoted,
  readObservedSchema,
  readTables,
  type SchemaBaseline,
} from "../schema-diff/schema-baseline.js";
import type { ManualDdlGate } from "./manual-ddl-gate.js";
import type { StreamRecord } from "../followers/stream-record.js";
import type { TableResync } from "./table-resync.js";
import { tablesInScope } from "../context/tables-in-scope.js";

/**
 * Whether the target was changed; `pausedByOthers` when it was not, and only other tables than the one that is stuck wait for
 * statements: its own may have been run just before.
 */
export type SyncResult = "changed" | "same" | "pausedByOthers";

const maxSyncAttempts = 10;
const pauseMs = 1000;
/** How long a lock is waited for where the next look tries again. */
const triedAgainSeconds = 5;

/** Carries over to the target what becomes of the source's schema while it is followed. */
export class SchemaSynchronizer {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #pause: ManualDdlGate;
  readonly #missing: MissingObjects;
  /** Of the schema that was carried over last. */
  #fingerprint: string | undefined;

  constructor(record: StreamRecord, followers: Followers, joins: TableResync, pause: ManualDdlGate) {
    this.#record = record;
    this.#followers = followers;
    this.#joins = joins;
    this.#pause = pause;
    this.#missing = new MissingObjects(record, followers);
  }

  /** The fingerprint of the source's schema, where it is not the one that was carried over last. */
  async changedSchema(source: Client): Promise<string | undefined> {
    const fingerprint = await schemaFingerprint(source);
    return fingerprint === this.#fingerprint ? undefined : fingerprint;
  }

  /** The next look goes on with it, whatever it finds. */
  outdate(): void {
    this.#fingerprint = undefined;
  }

  /**
   * Repeats until no table was replaced while others were copied: its changes would be missing.
   *
   * @throws ConcurrentChangeError when tables are replaced each time
   */
  async syncAll(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const concurrentChange = await this.#syncOnce();
      const joining = Object.keys(this.#record.following.joining ?? {});
      if (!concurrentChange && joining.length === 0) return;
      if (attempt === maxSyncAttempts)
        throw (
          concurrentChange ??
          new ConcurrentChangeError(
            `${joining.join(", ")} of ${this.#record.database} was replaced on the source during each of ${attempt} copies`,
            { remedy: "stop what drops and creates it on the source, then cut over again", code: "603130" },
          )
        );
      if (concurrentChange) await this.#pauseAfter(concurrentChange);
    }
  }

  /** A table that is dropped, truncated or altered while it joins the stream is no reason to refuse a cutover. */
  async #syncOnce(): Promise<ConcurrentChangeError | undefined> {
    try {
      await this.sync("once");
      return undefined;
    } catch (error) {
      if (!(error instanceof ConcurrentChangeError)) throw error;
      return error;
    }
  }

  async #pauseAfter(change: ConcurrentChangeError): Promise<void> {
    const { signal } = this.#record.work;
    const [what] = change.message.split("\n");
    await this.#record.say(`compares the source's schema again in ${pauseMs / 1000} s: ${what!}`);
    await delay(pauseMs, signal);
    signal.throwIfAborted();
  }

  /** What no change of a table tells of, as new functions and views. @throws RefusedError naming what the target still lacks */
  async complete(): Promise<void> {
    const hasBrought = await withSyncSessions(this.#record, lockTimeoutSeconds, (objects) =>
      this.#missing.complete(objects),
    );
    // A table that came meanwhile is there by now, and has to be copied.
    if (hasBrought) await this.syncAll();
  }

  /**
   * @param patience whether to wait for what somebody has to decide on, or to refuse
   * @param table the one that the stream cannot go on with; others may be written in their older shape behind it
   */
  sync(patience: "once" | "untilResolved", table?: string): Promise<SyncResult> {
    const lockSeconds = patience === "once" ? lockTimeoutSeconds : triedAgainSeconds;
    return withSyncSessions(this.#record, lockSeconds, async (objects) => {
      const seen = await this.#see(objects.source);
      const drift = await this.#driftOfReleased(objects);
      await this.#leaveOutBereft(drift);
      // What is added, here or by hand, may need it.
      if (drift.additions.length + drift.byHand.length > 0 && !drift.awaitsSchema)
        await this.#missing.restorePrerequisites(objects, drift.renamedTypes);
      if (drift.byHand.length === 0) return this.#settle(objects, drift, seen);
      const { mark } = this.#record.following;
      const side = mark && isAsNoted(seen.shape, mark) ? "target" : "source";
      if (patience === "once") throw await this.#pause.refusalOf(objects.source, drift, side);
      const readAgain = () => this.#drift(objects);
      const left = await this.#pause.untilResolved(objects.source, drift, { side, stuckAt: table, readAgain });
      const isPutRight = left !== drift;
      if (left.byHand.length === 0) return this.#settle(objects, left, seen, isPutRight);
      // The rest is at stake when the stream comes to it; until then its tables keep their older shape on the target.
      const isChanged = await this.#apply(objects, { ...left, newTables: [] }, false);
      return isChanged || isPutRight ? "changed" : "pausedByOthers";
    });
  }

  /** On record before they get the column back: without its values nothing would tell them from others then. */
  async #leaveOutBereft({ bereft, newTables }: SchemaDrift): Promise<void> {
    const oids = new Map(newTables.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
    for (const table of bereft) {
      await this.#joins.skip(table, oids.get(table)!);
      await this.#record.say(`${table} has lost columns on the target, and their values: it is copied anew`, "warning");
    }
  }

  async #see(source: Client): Promise<SeenSource> {
    const fingerprint = await schemaFingerprint(source);
    const isAltered = fingerprint !== this.#fingerprint;
    if (isAltered) await this.#followKeys(source);
    return {
      fingerprint,
      isAltered,
      shape: { ...(await readTables(source)), given: await readObservedSchema(source) },
    };
  }

  /** Carries over all that nobody has to decide on any more. */
  async #settle(objects: NewObjects, drift: SchemaDrift, seen: SeenSource, isPutRight = false): Promise<SyncResult> {
    const markBefore = this.#record.following.mark;
    const isChanged = await this.#apply(objects, drift, seen.isAltered);
    const late = drift.late.length > 0 ? await this.#applyLate(objects, drift.late) : "none";
    // The stream has come to what it cannot take yet, and will be looked after.
    if (late === "notCome") return isChanged ? "changed" : "same";
    if (seen.isAltered) await this.#noteGiven(seen, markBefore);
    // A column that was made anew has lost its indexes and constraints: the next look restores them.
    this.#fingerprint = late === "some" ? undefined : seen.fingerprint;
    return isChanged || isPutRight ? "changed" : "same";
  }

  /** What was added is the target's too by now; where tables were copied, there is a newer mark. */
  async #noteGiven({ shape }: SeenSource, markBefore: SchemaBaseline | undefined): Promise<void> {
    const { mark } = this.#record.following;
    if (!mark) return;
    const isNewer = mark.highestOid !== markBefore?.highestOid;
    await this.#record.keep({ mark: { ...mark, ...(isNewer ? { given: shape.given } : shape) } });
  }

  async #apply(objects: NewObjects, drift: SchemaDrift, isSourceAltered: boolean): Promise<boolean> {
    const joins = drift.newTables.length > 0 || this.#joins.areDue;
    await this.#add(objects, [...drift.additions, ...(joins ? drift.beforeCopies : [])]);
    if (joins) await this.#joins.join(objects, drift.newTables);
    else if (isSourceAltered) await this.#missing.restore(objects);
    if (joins) this.#followers.noteAlteration();
    return joins || drift.additions.length > 0;
  }

  async #add({ target }: NewObjects, statements: readonly string[]): Promise<void> {
    for (const sql of statements) {
      await target.query(sql);
      await this.#record.say(`carried over from the source: ${sql}`);
    }
    if (statements.length > 0) this.#followers.noteAlteration();
  }

  /**
   * @param due what was read before the stream is brought up: rows that it still brings may violate what is read later
   * @returns how much of it the target has taken; `notCome` when the stream does not come to where the source demands all
   *   this of its rows
   */
  async #applyLate(objects: NewObjects, due: readonly string[]): Promise<"none" | "some" | "notCome"> {
    try {
      if (!(await this.#followers.catchUp(objects.source))) return "notCome";
      // Some of it may have come with what was restored, or be the source's no more.
      const { late } = await this.#drift(objects);
      let taken: "none" | "some" = "none";
      for (const sql of due.filter((one) => late.includes(one)))
        if (await this.#tryStatement(objects.target, sql)) taken = "some";
      return taken;
    } finally {
      this.#followers.current.resume();
    }
  }

  /** Whether the target has taken it. */
  async #tryStatement(target: Client, sql: string): Promise<boolean> {
    try {
      await target.query(sql);
      await this.#record.say(`carried over from the source: ${sql}`);
      return true;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || isLockTimeout(error)) throw error;
      await this.#record.say(`could not be carried over from the source: ${sql}: ${error.message}`, "warning");
      return false;
    }
  }

  /** At once, also where the stream is going to be paused: the source's applications go on. */
  async #followKeys(source: Client): Promise<void> {
    const { work, database } = this.#record;
    const names = changeCaptureNames(work.spec, database);
    const tables = await tablesInScope(source, work.spec);
    const keyless = await followKeys(source, names, tables, { keyless: work.spec.keylessTables });
    if (keyless.length === 0) return;
    await work.journal.findings([insertOnlyFinding(database, keyless)]);
  }

  /** Once tables stand for themselves on the target that do so on the source: what is theirs can be altered then. */
  async #driftOfReleased(objects: NewObjects): Promise<SchemaDrift> {
    const drift = await this.#drift(objects);
    if (drift.releases.length === 0) return drift;
    await this.#add(objects, drift.releases);
    return this.#drift(objects);
  }

  async #drift({ source, target }: NewObjects): Promise<SchemaDrift> {
    const record = this.#record;
    const sourceTables = await tablesInScope(source, record.work.spec);
    const targetTables = await listTables(target);
    const here = new Set(targetTables.map(({ schema, name }) => qualify(schema, name)));
    const followed = record.following.followed ?? (await this.#followedAtFirst(source, targetTables));
    if (!record.following.followed) await record.keep({ followed });
    await this.#joins.updateJoining(sourceTables, targetTables);
    const outdated = await this.#joins.outdated(source);
    const { joining = {}, mark } = record.following;
    const shapes = {
      ...{ source, target, sourceTables, targetTables, mark, outdated },
      followed: record.following.followed ?? followed,
    };
    const drift = await readDrift(shapes);
    const again = sourceTables.filter(({ schema, name }) => {
      const table = qualify(schema, name);
      return here.has(table) && (outdated.has(table) || table in joining || drift.bereft.has(table));
    });
    return { ...drift, newTables: [...drift.newTables, ...again] };
  }

  /**
   * The tables of the initial copy. Tables that another user created on the target are not among them: such a table must
   * never be taken for a copy whose original was dropped.
   */
  async #followedAtFirst(source: Client, targetTables: readonly Table[]): Promise<FollowedTables> {
    const { work, following } = this.#record;
    const selection = await readSelection(source, work.spec);
    const copied = Object.entries(following.mark?.names ?? {}).filter(
      ([oid]) => !isCutRelation(selection, { oid: Number(oid) }),
    );
    const own = targetTables.filter(({ extensionConfiguration }) => !extensionConfiguration);
    const copies = new Map(own.map(({ schema, name, oid }) => [qualify(schema, name), oid]));
    return Object.fromEntries(copied.flatMap(([oid, name]) => (copies.has(name) ? [[oid, copies.get(name)!]] : [])));
  }
}

/** The source's schema before anything was carried over: what changes meanwhile is found by the next look. */
interface SeenSource {
  readonly fingerprint: string;
  readonly isAltered: boolean;
  readonly shape: Awaited<ReturnType<typeof readTables>> & { readonly given: ObservedSchema };
}
