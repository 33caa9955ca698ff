import type { RowChange, Tuple } from "../model/change.js";

/** The net effect of a run of changes on one table. */
export interface NetChanges {
  /**
   * Old rows. Rows with a key have at least their key fields. Rows without a key are complete, and equal rows occur once for
   * each row to delete.
   */
  readonly deletes: readonly Tuple[];
  /** Grouped by the columns that have values. */
  readonly updates: readonly UpdateGroup[];
  readonly inserts: readonly Tuple[];
  /**
   * Whether a row is deleted and inserted instead of updated, or updated instead of deleted and inserted. This is correct only if
   * the target has no columns that the stream lacks.
   */
  readonly replacesRows: boolean;
}

export interface UpdateGroup {
  /** Indexes into the relation's columns, in ascending order. They include the key. */
  readonly fields: readonly number[];
  readonly rows: readonly Tuple[];
}

/** Takes changes in source order, as long as it can compute their net effect. */
export interface Coalescer {
  /** Returns false, and does nothing, if the change cannot be coalesced with the earlier ones. */
  add(change: RowChange): boolean;
  readonly isEmpty: boolean;
  net(): NetChanges;
}
