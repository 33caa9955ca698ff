import { type Tuple, endOf, tupleHolding, nullField, startOf } from "../model/change.js";
import type { OrderedChange } from "../batch/coalesce.js";

/** The state by which the target's row is found: the old row or key, or the new row when its key is the old one. */
export function foundBy({ change }: OrderedChange): Tuple | undefined {
  if (change.kind === "insert") return undefined;
  return change.kind === "delete" ? change.old : (change.old ?? change.row);
}

/** What names the row of a change, for a message: `(id)=(42)`. */
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
