import type { TableMapping } from "../binding/table-mapping.js";
import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";

/** The fields that the target stores and that have a value in this row. */
export const knownFields = (binding: TableMapping, row: Tuple): number[] =>
  binding.stored.filter((field) => tupleHolding(row, field) !== undefined);

export const knowsAll = (binding: TableMapping, row: Tuple): boolean =>
  binding.stored.every((field) => tupleHolding(row, field) !== undefined);

export const sameKey = (binding: TableMapping, one: Tuple, other: Tuple): boolean =>
  keyOf(binding, one) === keyOf(binding, other);

/** The size of an int4, which most keys are. */
const numberBytes = 4;

/**
 * The key's bytes, for use as a map's key: see {@link bytesOf}. A single field of four bytes becomes a number, because a string
 * takes more time. A number equals no string, so that keys of other sizes differ from it.
 */
export function keyOf({ key }: TableMapping, row: Tuple): string | number {
  const field = key[0]!;
  const holder = key.length === 1 ? tupleHolding(row, field) : undefined;
  if (!holder) return bytesOf(key, row);
  const start = startOf(holder, field);
  const isNumber = start !== nullField && endOf(holder, field) - start === numberBytes;
  return isNumber ? holder.bytes.readInt32BE(start) : bytesOf(key, row);
}

/** @param row a row with all stored fields: see {@link knowsAll} */
export const contentText = (binding: TableMapping, row: Tuple): string => bytesOf(binding.stored, row);

/**
 * The fields' bytes as one string, for use as a map's key. An unchanged key always has the same bytes: the source sends the
 * old key as soon as the bytes differ, even if the type's equality operator considers them equal.
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
