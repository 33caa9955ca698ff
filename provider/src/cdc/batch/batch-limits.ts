import type { BatchLimits } from "./transaction-buffer.js";

export const batchLimits: BatchLimits = { changes: 20_000, bytes: 8 << 20, tables: 1000 };

/** A batch that several sessions apply. Each of them has fewer changes than in {@link batchLimits}. */
export const parallelLimits: BatchLimits = { changes: 30_000, bytes: 12 << 20, tables: 1000 };

/**
 * Reading the stream pauses when the received changes that are not applied yet exceed this size. It is enough for a batch on the
 * target, a prepared one, and one being received.
 */
export const maxInFlightBytes = (mayBeParallel: boolean): number =>
  3 * (mayBeParallel ? parallelLimits : batchLimits).bytes;

/** Reading resumes when these changes have shrunk to this size. */
export const resumeBelowBytes = (mayBeParallel: boolean): number =>
  maxInFlightBytes(mayBeParallel) - batchLimits.bytes / 2;
