import type { Client } from "pg";
import { delay } from "../../async/delay.js";
import { ConcurrentChangeError, RefusedError } from "../../errors.js";
import { lockTimeoutSeconds } from "../../postgres/locks/lock-waits.js";
import type { Followers } from "../followers/followers.js";
import type { StreamRecord } from "../followers/stream-record.js";
import {
  type ObservedSchema,
  isAsRecorded,
  readObservedSchema,
  readTables,
  type SchemaBaseline,
} from "../schema-diff/schema-baseline.js";
import type { SchemaDrift } from "../schema-diff/schema-drift.js";
import { schemaFingerprint } from "../schema-diff/schema-fingerprint.js";
import { runAdditions, runCarried } from "./carried-statement.js";
import { DriftReader } from "./drift-reader.js";
import { followKeysIn } from "./insert-only-tables.js";
import type { ManualDdlGate } from "./manual-ddl-gate.js";
import { MissingObjects } from "./missing-objects.js";
import type { NewObjects } from "./new-objects.js";
import { withSyncSessions } from "./sync-sessions.js";
import type { TableResync } from "./table-resync.js";
import type { NamesTaken } from "./taken-names.js";

/**
 * Whether the target was changed. `pausedByOthers`: it was not, and only tables other than the refused one wait for
 * statements. The operator may have run the statement for the refused table just before.
 */
export type SyncResult = "changed" | "same" | "pausedByOthers";

/** `interrupted`: the stream describes another table with a definition that was replaced. The schemas have to be compared again. */
type Interruptible<Result> = Result | "interrupted";

const maxSyncAttempts = 10;
/** After so many attempts, applications are considered too busy with a table for it to be copied beside them. */
const attemptsBesideWriters = 3;
const pauseMs = 1000;
/** How long a statement waits for a lock if the next comparison retries it. */
const retriedLockSeconds = 5;

/** Applies schema changes of the source to the target while the source is followed. */
export class SchemaSynchronizer {
  readonly #record: StreamRecord;
  readonly #followers: Followers;
  readonly #joins: TableResync;
  readonly #pause: ManualDdlGate;
  readonly #missing: MissingObjects;
  readonly #drift: DriftReader;
  /** Fingerprint of the source's schema that was applied last. */
  #fingerprint: string | undefined;

  constructor(record: StreamRecord, followers: Followers, joins: TableResync, pause: ManualDdlGate) {
    this.#record = record;
    this.#followers = followers;
    this.#joins = joins;
    this.#pause = pause;
    this.#missing = new MissingObjects(record, followers);
    this.#drift = new DriftReader(record, followers, joins, this.#missing);
  }

  /** Why the last comparison left out tables, and what to do about it. All other changes were applied. */
  get refusal(): NamesTaken | undefined {
    return this.#drift.leftOut.refusal;
  }

  /** Whether the last comparison has left no schema change to apply. */
  get isSettled(): boolean {
    return this.#fingerprint !== undefined;
  }

  /** Returns the fingerprint of the source's schema if it differs from the one that was applied last. */
  async changedSchema(source: Client): Promise<string | undefined> {
    const fingerprint = await schemaFingerprint(source);
    return fingerprint === this.#fingerprint ? undefined : fingerprint;
  }

  /** Makes the next comparison report a change. */
  outdate(): void {
    this.#fingerprint = undefined;
  }

  /**
   * Synchronizes until no table is replaced while others are copied. Otherwise changes of the replaced table would be missing.
   *
   * @param stopWriters called once if tables are replaced each time, or applications always wait for them
   * @throws ConcurrentChangeError when tables are replaced each time
   */
  async syncAll(stopWriters?: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const concurrentChange = await this.#syncOnce();
      const joining = Object.keys(this.#record.following.joining ?? {});
      if (!concurrentChange && joining.length === 0) return;
      if (attempt === maxSyncAttempts)
        throw (
          concurrentChange ??
          new ConcurrentChangeError(
            `${joining.join(", ")} of ${this.#record.database} was replaced on the source, or needed by an application, during each of ${attempt} copies`,
            { remedy: "stop what drops, truncates or alters it on the source, then cut over again", code: "PGM-503" },
          )
        );
      if (concurrentChange) await this.#pauseAfter(concurrentChange);
      if (attempt === attemptsBesideWriters) await stopWriters?.();
    }
  }

  /** If a table is dropped, truncated or altered while it joins the stream, the cutover is not refused. */
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
    await this.#record.report(`compares the source's schema again in ${pauseMs / 1000} s: ${what!}`);
    await delay(pauseMs, signal);
    signal.throwIfAborted();
  }

  /** Applies changes of objects other than tables, such as functions and views. @throws RefusedError naming missing objects */
  async complete(): Promise<void> {
    const hasBrought = await withSyncSessions(this.#record, lockTimeoutSeconds, async (objects) => {
      await this.#drift.readTables(objects);
      if (this.refusal) throw this.refusal;
      return this.#missing.complete(objects);
    });
    // A table that was created meanwhile now exists on the target, and has to be copied.
    if (hasBrought) await this.syncAll();
  }

  /**
   * @param patience whether to wait until the operator has run statements, or to refuse
   * @param table the table whose changes the target refuses; the stream may contain earlier changes of other tables
   * @throws NamesTaken with "once", if another role has created an object under a name that the target needs
   */
  sync(patience: "once" | "untilResolved", table?: string): Promise<SyncResult> {
    const lockSeconds = patience === "once" ? lockTimeoutSeconds : retriedLockSeconds;
    return withSyncSessions(this.#record, lockSeconds, async (objects) => {
      for (;;) {
        const result = await this.#syncUntilInterrupted(objects, patience, table);
        if (result !== "interrupted") return result;
      }
    });
  }

  async #syncUntilInterrupted(
    objects: NewObjects,
    patience: "once" | "untilResolved",
    table?: string,
  ): Promise<Interruptible<SyncResult>> {
    const seen = await this.#see(objects.source);
    const drift = await this.#drift.prepared(objects);
    if (patience === "once" && this.refusal) throw this.refusal;
    const skipsMore = await this.#drift.leftOut.skipIn(this.#followers);
    await this.#drift.skipTablesWithLostColumns(drift);
    if (drift.pausing.length === 0) return this.#settle(objects, drift, seen, skipsMore);
    const { mark } = this.#record.following;
    const side = mark && isAsRecorded(seen.shape, mark) ? "target" : "source";
    const readAgain = () => this.#drift.prepared(objects);
    const added = new Set<string>();
    const add = async ({ additions }: SchemaDrift): Promise<boolean> => {
      const due = additions.filter((sql) => !added.has(sql));
      await runAdditions(this.#record, this.#followers, objects, due);
      for (const sql of due) added.add(sql);
      return due.length > 0;
    };
    const resolve = (from: SchemaDrift, stuckAt?: string): Promise<SchemaDrift> =>
      this.#pause.untilResolved(objects, from, { side, stuckAt, readAgain, add, patience });
    let left = await resolve(drift, table);
    // Each round runs at least one statement, finds later changes, or throws.
    while (patience === "once" && left.pausing.length > 0) left = await resolve(left);
    const isPutRight = skipsMore || left !== drift;
    if (left.pausing.length === 0) return this.#settle(objects, left, seen, isPutRight);
    // Other tables keep their former definitions until the stream needs the new ones.
    const applied = await this.#apply(objects, { ...left, newTables: [] }, false);
    if (applied !== "same") return applied;
    return isPutRight ? "changed" : "pausedByOthers";
  }

  async #see(source: Client): Promise<SeenSource> {
    const fingerprint = await schemaFingerprint(source);
    const isAltered = fingerprint !== this.#fingerprint;
    // Even if the stream will be paused: otherwise updates of the source's applications could fail.
    if (isAltered) await followKeysIn(this.#record, source);
    return {
      fingerprint,
      isAltered,
      shape: { ...(await readTables(source)), given: await readObservedSchema(source) },
    };
  }

  /** Applies all changes for which no statement of the operator is needed. */
  async #settle(
    objects: NewObjects,
    drift: SchemaDrift,
    seen: SeenSource,
    isPutRight = false,
  ): Promise<Interruptible<SyncResult>> {
    const markBefore = this.#record.following.mark;
    const applied = await this.#apply(objects, drift, seen.isAltered);
    if (applied === "interrupted") return applied;
    const deferred = drift.deferred.length > 0 ? await this.#applyDeferred(objects, drift.deferred) : "none";
    // The target refuses a change of the stream, which starts another comparison.
    if (deferred === "refused") return applied;
    if (seen.isAltered) await this.#noteGiven(seen, markBefore);
    // A column that was replaced has lost its indexes and constraints. The next comparison restores them,
    // and copies the tables that were postponed.
    const isJoining = Object.keys(this.#record.following.joining ?? {}).length > 0;
    const isIncomplete = deferred === "some" || isJoining || this.refusal !== undefined;
    this.#fingerprint = isIncomplete ? undefined : seen.fingerprint;
    return isPutRight ? "changed" : applied;
  }

  /** The additions are applied now. If tables were copied, there is a newer baseline. */
  async #noteGiven({ shape }: SeenSource, markBefore: SchemaBaseline | undefined): Promise<void> {
    const { mark } = this.#record.following;
    if (!mark) return;
    const isNewer = mark.highestOid !== markBefore?.highestOid;
    await this.#record.keep({ mark: { ...mark, ...(isNewer ? { given: shape.given } : shape) } });
  }

  async #apply(
    objects: NewObjects,
    drift: SchemaDrift,
    isSourceAltered: boolean,
  ): Promise<Interruptible<"changed" | "same">> {
    const joins = drift.newTables.length > 0 || this.#joins.areDue;
    const isCarried = isSourceAltered && this.#record.work.spec.schemaChanges === "carry";
    const additions = [...drift.additions, ...(joins ? drift.beforeCopies : [])];
    await runAdditions(this.#record, this.#followers, objects, additions);
    if (isCarried) await this.#missing.parts.dropEnded(objects);
    const isJoined = await this.#replacingIfNeeded(objects, async (withRedefined) => {
      if (joins) return this.#joins.join(withRedefined, drift.newTables);
      if (isCarried) await this.#restoreMissing(withRedefined, drift.deferred);
      return true;
    });
    if (joins) this.#followers.noteAlteration();
    if (!isJoined) return "interrupted";
    return joins || drift.additions.length > 0 ? "changed" : "same";
  }

  /** A new object may need the new definition of another one, such as a column of a view. */
  async #replacingIfNeeded<Result>(
    objects: NewObjects,
    restore: (objects: NewObjects) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await restore(objects);
    } catch (error) {
      const isCarried = error instanceof RefusedError && this.#record.work.spec.schemaChanges === "carry";
      const redefined = isCarried ? await this.#missing.replaceable(objects) : [];
      if (redefined.length === 0) throw error;
      return await restore({ ...objects, redefined });
    }
  }

  /** The target may refuse an object that needs a deferred statement: an index for a replica identity needs NOT NULL. */
  async #restoreMissing(objects: NewObjects, deferred: readonly string[]): Promise<void> {
    try {
      await this.#missing.restore(objects);
    } catch (error) {
      if (!(error instanceof RefusedError) || (await this.#applyDeferred(objects, deferred)) !== "some") throw error;
      await this.#missing.restore(objects);
    }
  }

  /**
   * @param due statements that were read before the stream catches up: its remaining rows may violate later rules
   * @returns which of them were applied; `refused` when the target refuses a change before the stream has caught up
   */
  async #applyDeferred(objects: NewObjects, due: readonly string[]): Promise<"none" | "some" | "refused"> {
    try {
      if (!(await this.#followers.catchUp(objects.source))) return "refused";
      // Restored objects may include some of these, or the source may no longer have them.
      const { deferred } = await this.#drift.read(objects);
      let taken: "none" | "some" = "none";
      for (const sql of due.filter((one) => deferred.includes(one)))
        if (await runCarried(this.#record, objects.target, sql)) taken = "some";
      return taken;
    } finally {
      this.#followers.current.resume();
    }
  }
}

/** The source's schema before changes are applied. Later changes are found by the next comparison. */
interface SeenSource {
  readonly fingerprint: string;
  readonly isAltered: boolean;
  readonly shape: Awaited<ReturnType<typeof readTables>> & { readonly given: ObservedSchema };
}
