import { messageOf } from "../../errors.js";
import { sqlStateOf } from "../../postgres/sql-state.js";

/*
 * Errors that control how changes are read and applied. They never leave cdc/: every one is caught there, and either handled
 * or replaced by an error of `errors.ts`.
 */

/** An UPDATE or DELETE of the source found no row on the target, or several. Its changes may succeed in the source's order. */
export class RowMissing extends Error {
  constructor(what: string) {
    super(what);
    this.name = "RowMissing";
  }
}

/**
 * The target refuses a TRUNCATE. Either a table that is not replicated, such as an unlogged one, refers to the truncated table.
 * Or a deferred constraint of the truncated table is still pending. DELETE may succeed.
 */
export class TruncateRefused extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = "TruncateRefused";
  }
}

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

/** Whether the same changes may succeed in the source's order. Class 23: integrity constraint violation. */
export const requiresSourceOrder = (error: unknown): boolean =>
  error instanceof RowMissing || error instanceof TruncateRefused || sqlStateOf(error).startsWith("23");

/**
 * The target's table has a column that did not exist when the session read the table. The stream has to be restarted, so that it
 * keeps the values of this column.
 */
export class ColumnAdded extends Error {}

/** A stream in binary form has reached a value that needs text form. The stream has to be restarted in text form. */
export class TextFormatRequired extends Error {}

/** The backlog can no longer be read in portions. The stream has to be restarted with a walsender. */
export class BacklogIncomplete extends Error {}

/**
 * An apply session could not apply its share of a batch. The stream has to be restarted. One session then applies what remains
 * of the batch, in the source's order. If it fails, too, the follower reports that error.
 */
export class ShareFailed extends Error {
  constructor(override readonly cause: unknown) {
    super(messageOf(cause), { cause });
  }
}
