import type { TableMapping } from "../binding/table-mapping.js";
import { type Tuple, endOf, tupleHolding, startOf } from "../model/change.js";

/** The row of a change, before and after the change. */
export interface RowStates {
  /** The new row; undefined for a delete. */
  readonly row: Tuple | undefined;
  /** The values that identify the old row; undefined for an insert. */
  readonly old: Tuple | undefined;
}

/** The size of all values that are sent to the target for such a row. */
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
