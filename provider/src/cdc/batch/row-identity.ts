import type { TableMapping } from "../binding/table-mapping.js";
import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";

/** The fields that the target stores and that have a value in this row. */
export const knownFields = (binding: TableMapping, row: Tuple): number[] =>
  binding.stored.filter((field) => tupleHolding(row, field) !== undefined);

export const knowsAll = (binding: TableMapping, row: Tuple): boolean =>
  binding.stored.every((field) => tupleHolding(row, field) !== undefined);

export const sameKey = (binding: TableMapping, one: Tuple, other: Tuple): boolean =>
  keyText(binding, one) === keyText(binding, other);

export const keyText = (binding: TableMapping, row: Tuple): string => bytesOf(binding.key, row);

/** @param row a row with all stored fields: see {@link knowsAll} */
export const contentText = (binding: TableMapping, row: Tuple): string => bytesOf(binding.stored, row);

/**
 * The fields' bytes as one string, for use as a map's key. An unchanged key always has the same bytes. If the bytes differ, the
 * source sends the old key, even if the type's equality operator considers both equal.
 */
function bytesOf(fields: readonly number[], row: Tuple): string {
  let text = "";
  for (const field of fields) {
    const holder = tupleHolding(row, field);
    const start = holder ? startOf(holder, field) : nullField;
    const value = start === nullField ? "" : holder!.bytes.toString("latin1", start, endOf(holder!, field));
    text += `${start === nullField ? "n" : value.length}:${value}`;
  }
  return text;
}
