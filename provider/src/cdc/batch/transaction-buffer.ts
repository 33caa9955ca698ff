import type { Lsn } from "../../postgres/lsn.js";
import { EngineError } from "../../errors.js";
import { type Change, type StreamMessage, type Transaction, commitsThrough } from "../model/change.js";

/** A transaction of the source, or a part of a large transaction. */
export interface BatchSegment {
  readonly transaction: Transaction;
  readonly first: boolean;
  readonly changes: readonly Change[];
  /** All changes of the source, if apply sessions have already applied some of them; otherwise undefined. */
  readonly received?: readonly Change[] | undefined;
  /** Approximate memory use of the changes. */
  readonly bytes: number;
  /** The end of the commit record; undefined except in the transaction's last segment. */
  readonly end: { readonly lsn: Lsn; readonly commitTimeMs: number } | undefined;
}

export interface BatchLimits {
  readonly changes: number;
  readonly bytes: number;
  /** The target locks so many tables, with their indexes, at the same time. */
  readonly tables: number;
}

type OpenSegment = { -readonly [Key in keyof BatchSegment]: BatchSegment[Key] } & {
  changes: Change[];
  received?: Change[] | undefined;
};

/** Which segments {@link TransactionBuffer.take} takes. */
export interface Selection {
  readonly limits?: BatchLimits;
  /** Called for each segment that fits. The batch ends before the first segment that is not accepted. */
  readonly accepts?: (segment: BatchSegment) => boolean;
}

const opened = (transaction: Transaction, first: boolean): OpenSegment => ({
  transaction,
  first,
  changes: [],
  bytes: 0,
  end: undefined,
});

/** Memory of a change in addition to its message: objects, a share of the transaction, and garbage not collected yet. */
const changeOverheadBytes = 600;

const fewChanges = 16;

/**
 * Assembles the stream into segments and keeps them until the applier takes them. Its owner bounds the memory: it stops
 * reading while {@link bytes} is too large. A segment ends at the batch limits, so a large transaction is not kept in memory
 * as a whole.
 */
export class TransactionBuffer {
  readonly #limits: BatchLimits;
  #segments: BatchSegment[] = [];
  #taken = 0;
  #open: OpenSegment | undefined;
  #bytes = 0;
  /** Size of the segments that are not taken yet. */
  readonly #waiting = { changes: 0, bytes: 0 };
  #receivedChanges = 0;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  /** Approximate memory use. */
  get bytes(): number {
    return this.#bytes;
  }

  get receivedChanges(): number {
    return this.#receivedChanges;
  }

  /** Whether the waiting segments fill a batch. */
  hasFullBatch({ changes, bytes }: Pick<BatchLimits, "changes" | "bytes"> = this.#limits): boolean {
    return this.#waiting.changes >= changes || this.#waiting.bytes >= bytes;
  }

  /** Number of transactions that are not taken completely. */
  get pendingTransactions(): number {
    return this.#segments.length - this.#taken + (this.#open ? 1 : 0);
  }

  /** Whether the next transaction shows that every transaction that committed before `lsn` has been taken. */
  hasTakenAllThrough(lsn: Lsn): boolean {
    const next = this.#segments[this.#taken] ?? this.#open;
    return next?.first === true && isBeyond(next, lsn);
  }

  /** Whether the next transaction to take is not completely received, so that its commit LSN is still unknown. */
  get headHasUnknownLsn(): boolean {
    const next = this.#segments[this.#taken];
    return next?.first === true && hasUnknownLsn(next);
  }

  /** The oldest transaction that has not been taken completely. */
  get oldest(): Transaction | undefined {
    return this.#segments[this.#taken]?.transaction ?? this.#open?.transaction;
  }

  /** Whether the buffer has no transaction, not even a partly received one. */
  get empty(): boolean {
    return this.oldest === undefined;
  }

  /** Whether a transaction is partly received. */
  get receiving(): boolean {
    return this.#open !== undefined;
  }

  /** @param isApplied whether a change is already applied */
  receive(message: StreamMessage, messageBytes: number, isApplied = false): void {
    switch (message.kind) {
      case "begin":
        this.#open = opened(message.transaction, true);
        return;
      case "commit":
        this.#close({ lsn: message.endLsn, commitTimeMs: message.commitTimeMs });
        return;
      case "insert":
      case "update":
      case "delete":
      case "truncate":
        this.#add(message, messageBytes + changeOverheadBytes, isApplied);
        return;
      case "relation":
      case "ignored":
        return;
    }
  }

  /**
   * The next segments up to the limits; undefined without a waiting segment. The last segment may end inside a transaction.
   * The next batch then continues that transaction.
   *
   * @param bound transactions that do not {@link commitsThrough commit through} it stay in the buffer
   */
  take(bound: Lsn | undefined, selection: Selection = {}): BatchSegment[] | undefined {
    const { limits = this.#limits, accepts = () => true } = selection;
    const batch: BatchSegment[] = [];
    const tables = new Set<number>();
    let changes = 0;
    let bytes = 0;
    while (this.#taken < this.#segments.length) {
      const segment = this.#segments[this.#taken]!;
      if (segment.first && (isBeyond(segment, bound) || (bound !== undefined && hasUnknownLsn(segment)))) break;
      addTables(segment, tables);
      const fits =
        changes + segment.changes.length <= limits.changes &&
        bytes + segment.bytes <= limits.bytes &&
        tables.size <= limits.tables;
      if ((batch.length > 0 && !fits) || !accepts(segment)) break;
      batch.push(segment);
      this.#taken++;
      this.#wait(segment, -1);
      changes += segment.changes.length;
      bytes += segment.bytes;
      if (segment.end === undefined) break;
    }
    this.#compact();
    return batch.length === 0 ? undefined : batch;
  }

  /** Undoes the last {@link take}. */
  requeue(batch: readonly BatchSegment[]): void {
    this.#segments = [...batch, ...this.#segments.slice(this.#taken)];
    this.#taken = 0;
    for (const segment of batch) this.#wait(segment, 1);
  }

  /** Subtracts the memory of a batch that has been applied. */
  release(batch: readonly BatchSegment[]): void {
    for (const segment of batch) this.#bytes -= segment.bytes;
  }

  #add(change: Change, bytes: number, isApplied: boolean): void {
    const open = this.#inTransaction();
    if (isApplied) open.received ??= [...open.changes];
    open.received?.push(change);
    if (!isApplied) open.changes.push(change);
    open.bytes += bytes;
    this.#bytes += bytes;
    this.#receivedChanges++;
    if (open.changes.length < this.#limits.changes && open.bytes < this.#limits.bytes) return;
    this.#segments.push(open);
    this.#wait(open, 1);
    this.#open = opened(open.transaction, false);
  }

  #close(end: { lsn: Lsn; commitTimeMs: number }): void {
    const open = this.#inTransaction();
    // A growing array reserves room for many elements, but most transactions have few changes.
    if (open.changes.length < fewChanges) open.changes = open.changes.slice();
    // A transaction without replicated changes is added as well, so that the progress advances beyond it.
    open.end = end;
    this.#segments.push(open);
    this.#wait(open, 1);
    this.#open = undefined;
    if (open.transaction.commitLsn !== undefined) return;
    // test_decoding reports only the end of the commit record. The start is not known; every LSN inside the record has the
    // same meaning, see commitsThrough. Segments that were taken earlier share this object.
    Object.assign(open.transaction, { commitLsn: end.lsn - 1n, commitTimeMs: end.commitTimeMs });
  }

  #wait({ changes, bytes }: BatchSegment, sign: 1 | -1): void {
    this.#waiting.changes += sign * changes.length;
    this.#waiting.bytes += sign * bytes;
  }

  #inTransaction(): OpenSegment {
    if (!this.#open) throw new EngineError("the stream of changes has a change or a commit outside of a transaction");
    return this.#open;
  }

  #compact(): void {
    if (this.#taken < 1024 && this.#taken < this.#segments.length) return;
    this.#segments = this.#segments.slice(this.#taken);
    this.#taken = 0;
  }
}

/** All changes of the source, including those that apply sessions have already applied. */
export const receivedChanges = ({ received, changes }: BatchSegment): readonly Change[] => received ?? changes;

function addTables({ changes }: BatchSegment, tables: Set<number>): void {
  for (const change of changes)
    if (change.kind === "truncate") for (const { oid } of change.relations) tables.add(oid);
    else tables.add(change.relation.oid);
}

const hasUnknownLsn = ({ transaction }: BatchSegment): boolean => transaction.commitLsn === undefined;

/** Whether a transaction is known to commit after a bound. */
const isBeyond = ({ transaction }: Pick<BatchSegment, "transaction">, bound: Lsn | undefined): boolean =>
  bound !== undefined && transaction.commitLsn !== undefined && !commitsThrough(transaction.commitLsn, bound);
