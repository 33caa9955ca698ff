import type { RowChange, Tuple } from "../model/change.js";

/** The net effect of a run of changes on one table. */
export interface NetChanges {
  /** Rows of which at least the key is known; all of it where there is no key, and equal ones as often as they go. */
  readonly deletes: readonly Tuple[];
  /** By the columns that they know. */
  readonly updates: readonly UpdateGroup[];
  readonly inserts: readonly Tuple[];
}

export interface UpdateGroup {
  /** Indexes into the relation's columns, in order; the key's are among them. */
  readonly fields: readonly number[];
  readonly rows: readonly Tuple[];
}

/** Takes changes in source order for as long as their net effect can be told. */
export interface Coalescer {
  /** False when the change does not fold with what is here: nothing was done then. */
  add(change: RowChange): boolean;
  readonly isEmpty: boolean;
  net(): NetChanges;
}
