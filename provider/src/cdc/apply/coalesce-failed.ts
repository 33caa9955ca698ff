import { sqlStateOf } from "../../postgres/sql-state.js";
import { RowMissing } from "./row-missing.js";
import { TruncateRefused } from "./truncate-refused.js";

/** The target refuses coalesced changes. The same changes may succeed in the source's order. */
export class CoalesceFailed extends Error {
  constructor(
    /** Qualified and quoted; undefined for a TRUNCATE. */
    readonly table: string | undefined,
    override readonly cause: Error & { readonly code?: string },
  ) {
    super(cause.message, { cause });
  }
}

/** Class 23: integrity constraint violation. */
export const requiresSourceOrder = (error: unknown): boolean =>
  error instanceof RowMissing || error instanceof TruncateRefused || sqlStateOf(error).startsWith("23");
