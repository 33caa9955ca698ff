import type { BatchLimits } from "./transaction-buffer.js";

export const batchLimits: BatchLimits = { changes: 20_000, bytes: 8 << 20, tables: 1000 };

/** Above this size the stream is not read. It is enough for a batch on the target, a prepared one, and one being received. */
export const maxInFlightBytes = 3 * batchLimits.bytes;

/** Below this size the stream is read again. */
export const resumeBelowBytes = maxInFlightBytes - batchLimits.bytes / 2;
