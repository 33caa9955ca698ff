import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";
import type { OrderedChange } from "../batch/coalesce.js";

/** The tuple that identifies the target's row: the old row or key, or the new row if its key did not change. */
export function foundBy({ change }: OrderedChange): Tuple | undefined {
  if (change.kind === "insert") return undefined;
  return change.kind === "delete" ? change.old : (change.old ?? change.row);
}

/** Describes the row of a change in a message: `(id)=(42)`. */
export function describeRow(ordered: OrderedChange): string {
  const { change, binding } = ordered;
  const row = change.kind === "insert" ? change.row : foundBy(ordered)!;
  const fields = binding.keyed ? binding.key : binding.stored.slice(0, 5);
  const values = fields.map((field) => valueText(row, field));
  return `(${fields.map((field) => binding.columns[field]!.name).join(", ")})=(${values.join(", ")})`;
}

function valueText(row: Tuple, field: number): string {
  const holder = tupleHolding(row, field);
  const start = holder ? startOf(holder, field) : nullField;
  if (start === nullField) return "null";
  return holder!.bytes.toString("utf8", start, endOf(holder!, field)).slice(0, 100);
}
