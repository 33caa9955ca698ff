import type { TableMapping } from "../binding/table-mapping.js";
import { type Tuple, endOf, tupleHolding, startOf } from "../model/change.js";

/** What is known of a row that a change is about. */
export interface RowStates {
  /** The new row, or undefined for a delete. */
  readonly row: Tuple | undefined;
  /** What the old row is found by; undefined for an insert. */
  readonly old: Tuple | undefined;
}

/** How long all values are that such a row is written down with. */
export const bytesOf = ({ stored, old: found }: TableMapping, { row, old }: RowStates): number =>
  (row ? fieldBytes(row, stored) : 0) + (old ? fieldBytes(old, found) : 0);

function fieldBytes(tuple: Tuple, fields: readonly number[]): number {
  let bytes = 0;
  for (const field of fields) {
    const holder = tupleHolding(tuple, field);
    if (holder) bytes += Math.max(0, endOf(holder, field) - startOf(holder, field));
  }
  return bytes;
}
