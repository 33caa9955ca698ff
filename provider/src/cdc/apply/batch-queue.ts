import type { Lsn } from "../../postgres/lsn.js";
import type { ApplyBarrier } from "../apply-barrier.js";
import type { BatchSegment, TransactionBuffer } from "../batch/transaction-buffer.js";
import type { Transaction } from "../model/change.js";
import type { Applier, Batch } from "./applier.js";

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
  /** Segments that the applier has and still needs. */
  #applying: readonly BatchSegment[] = [];
  #next: PreparedBatch | undefined;

  constructor(buffer: TransactionBuffer, barrier: ApplyBarrier, applier: Applier) {
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

  /** The number of transactions that are partly received and not durable on the target. */
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
    const segments = this.#buffer.take(bound);
    if (segments) this.#next = { batch: this.#applier.prepare(segments), bound };
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

  /** The prepared batch is used only if the barrier has not moved since. */
  #takeNext(): Batch | undefined {
    const next = this.#next;
    this.#next = undefined;
    if (next && next.bound === this.#barrier.bound) return next.batch;
    if (next) this.#buffer.requeue(next.batch.segments);
    const segments = this.#buffer.take(this.#barrier.bound);
    return segments && { segments };
  }
}
