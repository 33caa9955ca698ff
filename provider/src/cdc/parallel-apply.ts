import type { Client } from "pg";
import { TakenOverError, UnreachableError, asError, messageOf } from "../errors.js";
import { abandon, connectionErrorOf } from "../postgres/connection/session.js";
import type { OnBlocked } from "../postgres/connection/session-watch.js";
import type { Lsn } from "../postgres/lsn.js";
import { withoutSearchPath } from "../postgres/search-path.js";
import { sqlStateOf, sqlStates } from "../postgres/sql-state.js";
import { Applier, type ApplierOptions, type Batch } from "./apply/applier.js";
import { isLockTableFull } from "./apply/lock-table-full.js";
import { batchLimits, parallelLimits } from "./batch/batch-limits.js";
import type { BatchSegment, TransactionBuffer } from "./batch/transaction-buffer.js";
import type { TableDivision } from "./division/division.js";
import { Divider } from "./division/divider.js";
import { readTableDivisions } from "./division/read-table-divisions.js";
import { Shares } from "./division/shares.js";
import type { FollowOptions } from "./follow-options.js";
import { type ApplyingSession, openApplyingSession } from "./follow-sessions.js";
import { type Change, type Relation, isSameTable } from "./model/change.js";
import { isRetryable } from "./model/failure.js";
import { ShareFailed } from "./model/signals.js";
import { advanceSessionStatement, recordDivision } from "./target/apply-session-progress.js";
import { freeConnections } from "../postgres/free-connections.js";

/** By default, if the target has enough free connections. */
const defaultSessions = 4;
/** By default, the share of the target's free connections that a stream may use. */
const freeShare = 1 / 4;
/** After this time without a backlog, the sessions are ended. */
const endUnusedAfterMs = 10_000;
/** How long to wait after sessions could not be opened. */
const openAgainAfterMs = 60_000;

export interface ParallelApplyOptions {
  readonly follow: FollowOptions;
  /** Applies what cannot be divided, and everything without a backlog. Its session holds the progress row. */
  readonly main: Applier;
  readonly session: ApplyingSession;
  /** For the appliers of the other sessions. */
  readonly applier: ApplierOptions;
  readonly buffer: TransactionBuffer;
  readonly onBlocked: OnBlocked;
  /** One session applies everything up to this LSN. */
  readonly singleThroughLsn: Lsn;
  /** Called when sessions were opened. */
  readonly onOpened: () => void;
}

/** Sessions that need the source's order can also lock each other out. One session has no such deadlock. */
const isDeadlock = (error: unknown): boolean => sqlStateOf(error) === sqlStates.deadlockDetected;

const isLoss = (error: unknown): boolean => isRetryable(error) && !isLockTableFull(error) && !isDeadlock(error);

/** One of the sessions that share a batch. */
interface ShareSession extends ApplyingSession {
  readonly applier: Applier;
}

/**
 * Applies a backlog in several sessions. ARCHITECTURE.md, "Parallel apply", states why no change is lost or applied twice.
 *
 * A batch of whole transactions is divided among the sessions. Each session commits its share together with its own position.
 * When all have committed, the progress row advances. Between two such batches the target is in the state of one LSN.
 */
export class ParallelApply {
  /** The end of the last batch that sessions could not apply; 0 without one. */
  failedThroughLsn: Lsn = 0n;
  /** The number of batches that the sessions have applied. */
  batches = 0;
  readonly #options: ParallelApplyOptions;
  #sessions: readonly ShareSession[] = [];
  #opening: Promise<void> | undefined;
  #opened: readonly ApplyingSession[] = [];
  #openAgainAt = 0;
  #isClosed = false;
  #usedAt = 0;
  readonly #tables = new Map<string, TableDivision>();
  #divider: Divider | undefined;
  /** Definitions of tables that the division takes into account. */
  readonly #learned = new Set<Relation>();
  /** Definitions that one session applied, and that the division may have to take into account. */
  readonly #met = new Set<Relation>();
  /** The number of tables that have a session of their own. */
  #placed = 0;

  constructor(options: ParallelApplyOptions) {
    this.#options = options;
  }

  /** The number of sessions that apply a backlog; 1 without a backlog. */
  get sessions(): number {
    return Math.max(1, this.#sessions.length);
  }

  /** The backends that apply changes. */
  get processIds(): number[] {
    return [this.#options.session, ...this.#sessions].map(({ watch }) => watch.processId);
  }

  /** Whether the waiting changes fill a batch. */
  get hasFullBatch(): boolean {
    const { buffer } = this.#options;
    return this.#sessions.length > 0 ? buffer.hasFullBatch(this.#full(parallelLimits)) : buffer.hasFullBatch();
  }

  /** Opens or ends sessions, and extends the division. Call it between two batches. */
  async adapt(): Promise<void> {
    const { main, session, singleThroughLsn } = this.#options;
    if (main.isWithinTransaction) return;
    if (this.#sessions.length > 0 && this.#isUnneeded) await this.#end();
    if (this.#sessions.length === 0) {
      if (this.#opened.length > 0) this.#begin();
      else if (main.appliedThroughLsn >= singleThroughLsn) this.#openInBackground();
    }
    const relations = [...this.#met].filter(
      (relation) => main.mappings.knows(relation) && !this.#learned.has(relation),
    );
    this.#met.clear();
    if (this.#sessions.length === 0 || relations.length === 0) return;
    await session.watch.during(main.commit());
    await session.watch.during(this.#learn(relations));
  }

  /** Takes the next batch from the buffer, and builds it if several sessions apply it. */
  take(bound: Lsn | undefined): Batch | undefined {
    const { buffer } = this.#options;
    const shared = this.#takeShared(bound);
    if (shared) return shared;
    const segments = buffer.take(bound);
    if (segments && this.#sessions.length > 0) this.#meet(segments);
    return segments && { segments };
  }

  /** Whether the sessions have not changed since the batch was built. */
  isCurrent({ division }: Batch): boolean {
    return division === undefined || division.divider === this.#divider;
  }

  /** See {@link Applier.prepare}. */
  prepare(batch: Batch): Batch {
    return batch.division ? batch : this.#options.main.prepare(batch.segments);
  }

  /** See {@link Applier.apply}. @throws ShareFailed if one session should apply the changes, over new connections */
  async apply(batch: Batch, isFollowed: () => boolean): Promise<void> {
    const { main, session } = this.#options;
    if (!batch.division) return session.watch.during(main.apply(batch, isFollowed));
    await session.watch.during(main.commit());
    await this.#applyShares(batch, batch.division.shares);
    await session.watch.during(main.advanceAfter(batch.segments));
    this.batches++;
  }

  /** Rejects the queries of all sessions without waiting for the server. */
  abandon(): void {
    const reason = new UnreachableError("the session with the target was abandoned");
    for (const { target } of [this.#options.session, ...this.#sessions]) abandon(target, reason);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening;
    await this.#end();
  }

  get #isUnneeded(): boolean {
    const wanted = this.#options.follow.applySessions?.();
    if (wanted !== undefined && wanted !== this.#sessions.length) return true;
    return Date.now() - this.#usedAt > endUnusedAfterMs;
  }

  #full(limits: { readonly changes: number; readonly bytes: number }): { changes: number; bytes: number } {
    const { parallelFromChanges } = this.#options.follow;
    return parallelFromChanges === undefined ? limits : { changes: parallelFromChanges, bytes: Infinity };
  }

  #takeShared(bound: Lsn | undefined): Batch | undefined {
    const { buffer } = this.#options;
    const divider = this.#divider;
    if (!divider || !buffer.hasFullBatch(this.#full(batchLimits))) return undefined;
    const shares = new Shares(divider);
    const accepts = (segment: BatchSegment): boolean => shares.add(segment);
    const segments = buffer.take(bound, { limits: parallelLimits, accepts });
    if (!segments) return undefined;
    // A few transactions before one that cannot be divided are applied together with it.
    if (shares.hasRefused && isFew(segments, this.#full(batchLimits))) {
      buffer.requeue(segments);
      return undefined;
    }
    this.#usedAt = Date.now();
    return { segments, division: { divider, shares: this.#build(segments.at(-1)!, shares) } };
  }

  /** A share is one segment: it is applied as a whole, or by one session in the source's order. */
  #build(last: BatchSegment, { changes }: Shares): (Batch | undefined)[] {
    return this.#sessions.map(({ applier }, session) => {
      const share = changes[session]!;
      return share.length === 0 ? undefined : applier.prepare([{ ...last, changes: share, bytes: 0 }]);
    });
  }

  async #applyShares({ segments }: Batch, shares: readonly (Batch | undefined)[]): Promise<void> {
    const works = this.#sessions.map(async ({ applier, target, watch }, session) => {
      const share = shares[session];
      if (!share) return;
      await watch.during(applier.apply(share)).catch((error: unknown) => {
        throw connectionErrorOf(error, [target]);
      });
    });
    const results = await Promise.allSettled(works);
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    if (failures.length === 0) return;
    this.failedThroughLsn = segments.at(-1)!.end!.lsn;
    const isFinal = (error: unknown): boolean => error instanceof TakenOverError;
    throw asError(failures.find(isFinal) ?? failures.find(isLoss) ?? new ShareFailed(failures[0]));
  }

  #meet(segments: readonly BatchSegment[]): void {
    const meet = (change: Change): void => {
      if (change.kind !== "truncate" && !this.#learned.has(change.relation)) this.#met.add(change.relation);
    };
    for (const { changes } of segments) changes.forEach(meet);
  }

  /** Records the division of further tables. No session has applied changes after the position of the progress row. */
  async #learn(relations: readonly Relation[]): Promise<void> {
    const { follow, main, session } = this.#options;
    const { migration, generation, triggersDisabled = false } = follow;
    const tables = relations.map((relation) => main.mappings.of(relation));
    const possible = await withoutSearchPath(session.target, () =>
      readTableDivisions(session.target, tables, triggersDisabled),
    );
    for (const { name, relation } of tables) {
      const division = possible.get(name);
      if (!division) this.#tables.delete(name);
      else this.#tables.set(name, division.by === "table" ? this.#place(name) : division);
      for (const former of this.#learned) if (isSameTable(former, relation)) this.#learned.delete(former);
      this.#learned.add(relation);
    }
    const division = { sessions: this.#sessions.length, tables: new Map(this.#tables) };
    const holder = { migration, generation, from: main.appliedThroughLsn };
    await withoutSearchPath(session.target, () => recordDivision(session.target, holder, division));
    this.#divider = new Divider(division, this.#options.applier.form, this.#learned);
  }

  #place(name: string): TableDivision {
    const known = this.#tables.get(name);
    return known?.by === "table" ? known : { by: "table", session: this.#placed++ % this.#sessions.length };
  }

  #openInBackground(): void {
    const { follow, buffer, onOpened } = this.#options;
    const wanted = follow.applySessions?.();
    const isDue = !this.#opening && !this.#isClosed && Date.now() >= this.#openAgainAt;
    if (!isDue || wanted === 1 || follow.plugin === "test_decoding") return;
    if (!buffer.hasFullBatch(this.#full(batchLimits))) return;
    this.#opening = this.#open(wanted)
      .catch((error: unknown) => {
        this.#openAgainAt = Date.now() + openAgainAfterMs;
        follow.onEvent?.({ kind: "parallelRefused", reason: messageOf(error) });
      })
      .finally(() => {
        this.#opening = undefined;
        onOpened();
      });
  }

  async #open(wanted: number | undefined): Promise<void> {
    const { follow, onBlocked } = this.#options;
    const open = (): Promise<ApplyingSession> => openApplyingSession(follow, onBlocked);
    const sessions = [await open()];
    try {
      const free = wanted === undefined ? await freeConnections(sessions[0]!.target) : 0;
      const count = wanted ?? Math.min(defaultSessions, Math.floor(free * freeShare));
      if (count < 2) {
        this.#openAgainAt = Date.now() + openAgainAfterMs;
        await endAll(sessions);
        return;
      }
      const others = await Promise.allSettled(Array.from({ length: count - 1 }, open));
      for (const one of others) if (one.status === "fulfilled") sessions.push(one.value);
      for (const one of others) if (one.status === "rejected") throw asError(one.reason);
    } catch (error) {
      await endAll(sessions);
      throw error;
    }
    this.#opened = sessions;
  }

  #begin(): void {
    const { applier: options, main, follow } = this.#options;
    this.#sessions = this.#opened.map((session, number) => ({
      ...session,
      applier: new Applier(session.target, {
        ...options,
        mappings: main.mappings,
        advance: advanceSessionStatement(number),
      }),
    }));
    this.#opened = [];
    this.#usedAt = Date.now();
    for (const relation of main.mappings.relations) this.#met.add(relation);
    follow.onEvent?.({ kind: "parallel", sessions: this.#sessions.length });
  }

  async #end(): Promise<void> {
    const ending = [...this.#sessions, ...this.#opened];
    this.#sessions = this.#opened = [];
    this.#divider = undefined;
    this.#learned.clear();
    this.#tables.clear();
    this.#placed = 0;
    await endAll(ending);
  }
}

/** Whether segments are less than a quarter of a full batch, by number and by size. */
function isFew(segments: readonly BatchSegment[], full: { readonly changes: number; readonly bytes: number }): boolean {
  let [changes, bytes] = [0, 0];
  for (const segment of segments) {
    changes += segment.changes.length;
    bytes += segment.bytes;
  }
  return changes < full.changes / 4 && bytes < full.bytes / 4;
}

const endAll = async (sessions: readonly { readonly target: Client }[]): Promise<void> => {
  await Promise.all(sessions.map(({ target }) => target.end()));
};
