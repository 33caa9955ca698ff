import type { Lsn } from "../../postgres/lsn.js";
import { EngineError } from "../../errors.js";
import { type Change, type StreamMessage, type Transaction, commitsThrough } from "../model/change.js";

/** A transaction of the source, or a part of one too large to be held whole. */
export interface BatchSegment {
  readonly transaction: Transaction;
  readonly first: boolean;
  readonly changes: readonly Change[];
  /** Memory that the changes hold, about. */
  readonly bytes: number;
  /** The end of the commit record, in the transaction's last segment. */
  readonly end: { readonly lsn: Lsn; readonly commitTimeMs: number } | undefined;
}

export interface BatchLimits {
  readonly changes: number;
  readonly bytes: number;
  /** Of as many the target has to hold locks at a time, on their indexes too. */
  readonly tables: number;
}

type OpenSegment = { -readonly [Key in keyof BatchSegment]: BatchSegment[Key] } & { changes: Change[] };

const opened = (transaction: Transaction, first: boolean): OpenSegment => ({
  transaction,
  first,
  changes: [],
  bytes: 0,
  end: undefined,
});

/** What a change holds beside its message: objects, their share of a transaction, and memory that waits to be collected. */
const changeOverheadBytes = 600;

const fewChanges = 16;

/**
 * Assembles the stream into segments and keeps them until the applier takes them. What it holds is bounded by its owner,
 * who stops reading while {@link bytes} is too much; a segment is cut at the batch limits, so one huge transaction does
 * not need to be held either.
 */
export class TransactionBuffer {
  readonly #limits: BatchLimits;
  #segments: BatchSegment[] = [];
  #taken = 0;
  #open: OpenSegment | undefined;
  #bytes = 0;
  /** Of the segments that wait to be taken. */
  readonly #waiting = { changes: 0, bytes: 0 };
  #receivedChanges = 0;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  /** Memory held, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get receivedChanges(): number {
    return this.#receivedChanges;
  }

  /** As much waits as one batch may take. */
  get hasFullBatch(): boolean {
    return this.#waiting.changes >= this.#limits.changes || this.#waiting.bytes >= this.#limits.bytes;
  }

  /** Transactions of which a part waits to be taken. */
  get pendingTransactions(): number {
    return this.#segments.length - this.#taken + (this.#open ? 1 : 0);
  }

  /** Whether every transaction that committed before `lsn` has been taken, as far as what is here tells. */
  hasTakenAllThrough(lsn: Lsn): boolean {
    const next = this.#segments[this.#taken] ?? this.#open;
    return next?.first === true && isBeyond(next, lsn);
  }

  /** The next transaction to take is not known whole, nor where it commits. */
  get headHasUnknownLsn(): boolean {
    const next = this.#segments[this.#taken];
    return next?.first === true && isOfUnknownPlace(next);
  }

  /** The oldest transaction that has not been taken whole. */
  get oldest(): Transaction | undefined {
    return this.#segments[this.#taken]?.transaction ?? this.#open?.transaction;
  }

  /** Nothing is here, nor in the middle of being received. */
  get empty(): boolean {
    return this.oldest === undefined;
  }

  /** In the middle of a transaction. */
  get receiving(): boolean {
    return this.#open !== undefined;
  }

  receive(message: StreamMessage, messageBytes: number): void {
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
        this.#add(message, messageBytes + changeOverheadBytes);
        return;
      case "relation":
      case "ignored":
        return;
    }
  }

  /**
   * The next whole segments up to the limits; the last of them may end inside a transaction, and then the next batch goes
   * on with it. Undefined when there is none.
   *
   * @param bound transactions that do not {@link commitsThrough commit through} it stay in the buffer
   */
  take(bound: Lsn | undefined): BatchSegment[] | undefined {
    const batch: BatchSegment[] = [];
    const tables = new Set<number>();
    let changes = 0;
    let bytes = 0;
    while (this.#taken < this.#segments.length) {
      const segment = this.#segments[this.#taken]!;
      if (segment.first && (isBeyond(segment, bound) || (bound !== undefined && isOfUnknownPlace(segment)))) break;
      addTables(segment, tables);
      const fits =
        changes + segment.changes.length <= this.#limits.changes &&
        bytes + segment.bytes <= this.#limits.bytes &&
        tables.size <= this.#limits.tables;
      if (batch.length > 0 && !fits) break;
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

  /** Frees the bytes of a batch that has been applied. */
  release(batch: readonly BatchSegment[]): void {
    for (const segment of batch) this.#bytes -= segment.bytes;
  }

  #add(change: Change, bytes: number): void {
    const open = this.#inTransaction();
    open.changes.push(change);
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
    // An array that grows has room for many; most transactions are of a few changes.
    if (open.changes.length < fewChanges) open.changes = open.changes.slice();
    // A transaction takes its place even when it changed nothing of ours: progress passes over it.
    open.end = end;
    this.#segments.push(open);
    this.#wait(open, 1);
    this.#open = undefined;
    if (open.transaction.commitLsn !== undefined) return;
    // Only the end tells where this transaction is, its parts that were taken included: its commit record ends there.
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

function addTables({ changes }: BatchSegment, tables: Set<number>): void {
  for (const change of changes)
    if (change.kind === "truncate") for (const { oid } of change.relations) tables.add(oid);
    else tables.add(change.relation.oid);
}

const isOfUnknownPlace = ({ transaction }: BatchSegment): boolean => transaction.commitLsn === undefined;

/** Whether a transaction is known to lie behind a bound. */
const isBeyond = ({ transaction }: Pick<BatchSegment, "transaction">, bound: Lsn | undefined): boolean =>
  bound !== undefined && transaction.commitLsn !== undefined && !commitsThrough(transaction.commitLsn, bound);
