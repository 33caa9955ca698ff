import type { Lsn } from "../../postgres/lsn.js";
import type { ApplyBarrier } from "../apply-barrier.js";
import type { BatchSegment, TransactionBuffer } from "../batch/transaction-buffer.js";
import type { Transaction } from "../model/change.js";
import type { Applier, Batch } from "./applier.js";

/** Takes batches from the buffer, and builds them in advance. */
export interface BatchSource {
  readonly take: (bound: Lsn | undefined) => Batch | undefined;
  readonly prepare: (batch: Batch) => Batch;
  /** Whether a batch that was built in advance can still be applied as it was built. */
  readonly isCurrent: (batch: Batch) => boolean;
}

/** A batch that was built in advance, and the barrier's bound at that time. */
interface PreparedBatch {
  readonly batch: Batch;
  readonly bound: Lsn | undefined;
}

/** Takes batches from the buffer: those that the applier still needs, and the next one, which is prepared in advance. */
export class BatchQueue {
  readonly #buffer: TransactionBuffer;
  readonly #barrier: ApplyBarrier;
  readonly #applier: Applier;
  readonly #source: BatchSource;
  /** Segments that the applier has and still needs. */
  #applying: readonly BatchSegment[] = [];
  #next: PreparedBatch | undefined;

  constructor(source: BatchSource, buffer: TransactionBuffer, barrier: ApplyBarrier, applier: Applier) {
    this.#source = source;
    this.#buffer = buffer;
    this.#barrier = barrier;
    this.#applier = applier;
  }

  /** Whether the applier has a batch. */
  get isApplying(): boolean {
    return this.#applying.length > 0;
  }

  /** Whether the next batch can be sent immediately. */
  get isNextReady(): boolean {
    return this.#next?.batch.built !== undefined && this.#next.bound === this.#barrier.bound;
  }

  /** The oldest transaction that is received and not durable on the target. */
  get oldest(): Transaction | undefined {
    return (this.#applying[0] ?? this.#next?.batch.segments[0])?.transaction ?? this.#buffer.oldest;
  }

  /** The number of transactions that are received, completely or in part, and not durable on the target. */
  get pendingTransactions(): number {
    const taken = this.#applying.length + (this.#next?.batch.segments.length ?? 0);
    return taken + this.#buffer.pendingTransactions;
  }

  /** Returns the next batch for the applier; undefined if there is no transaction before the barrier. */
  take(): Batch | undefined {
    const batch = this.#takeNext();
    if (batch) this.#applying = [...this.#applying, ...batch.segments];
    return batch;
  }

  /** Builds the next batch, if none is built yet. */
  prepareNext(): void {
    if (this.#next) return;
    const { bound } = this.#barrier;
    const batch = this.#source.take(bound);
    if (batch) this.#next = { batch: this.#source.prepare(batch), bound };
  }

  /** Stages rows of the next batch, if it is built. */
  stageNext(): void {
    if (this.#next) this.#applier.stageAhead(this.#next.batch);
  }

  /** The applier no longer needs these segments. */
  release(segments: readonly BatchSegment[]): void {
    this.#applying = this.#applying.slice(segments.length);
    this.#buffer.release(segments);
  }

  /** The prepared batch is used only if the barrier and the apply sessions have not changed since. */
  #takeNext(): Batch | undefined {
    const next = this.#next;
    this.#next = undefined;
    if (next && next.bound === this.#barrier.bound && this.#source.isCurrent(next.batch)) return next.batch;
    if (next) this.#buffer.requeue(next.batch.segments);
    return this.#source.take(this.#barrier.bound);
  }
}
