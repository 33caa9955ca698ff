import type { Client } from "pg";
import { type Tuple, nullField, holderOf, onTopOf } from "./change.js";
import { type OrderedChange, knownFields, sameKey } from "./fold.js";
import { RowMissing } from "./row-missing.js";
import type { StagedRow, Staging } from "./staging.js";
import * as statements from "./statements.js";
import type { Binding } from "./binding.js";

/** A statement scans its staging table, so what is staged at a time is kept small. */
const stagedAtATime = 500;

/**
 * Applies changes one by one in the source's order.
 *
 * @param failed makes the error for a change that the target refuses or has no row for
 */
export async function applyOrdered(
  target: Client,
  staging: Staging,
  changes: readonly OrderedChange[],
  failed: (change: OrderedChange, cause: unknown) => Error,
): Promise<void> {
  for (let start = 0; start < changes.length; start += stagedAtATime) {
    const part = changes.slice(start, start + stagedAtATime);
    await stage(staging, part);
    for (const [group, change] of part.entries()) {
      try {
        await applyOne(target, change, group);
      } catch (cause) {
        throw failed(change, cause);
      }
    }
  }
}

async function stage(staging: Staging, changes: readonly OrderedChange[]): Promise<void> {
  const byBinding = new Map<Binding, StagedRow[]>();
  changes.forEach(({ change, binding }, group) => {
    const rows = byBinding.get(binding) ?? [];
    byBinding.set(binding, rows);
    rows.push({
      group,
      row:
        change.kind === "delete" ? undefined : change.kind === "update" ? onTopOf(change.row, change.old) : change.row,
      old: findsRow({ change }),
    });
  });
  for (const [binding, rows] of byBinding) await staging.fill(binding, rows);
}

/** The state by which the target's row is found: the old row or key, or the new row when its key is the old one. */
function findsRow({ change }: Pick<OrderedChange, "change">): Tuple | undefined {
  if (change.kind === "insert") return undefined;
  return change.kind === "delete" ? change.old : (change.old ?? change.row);
}

async function applyOne(target: Client, ordered: OrderedChange, group: number): Promise<void> {
  for (const text of attempts(ordered)) {
    const { rowCount } = await target.query(text, [group]);
    if (rowCount === 1) return;
    if (rowCount !== 0) throw new RowMissing(`${rowCount ?? 0} rows were there instead of one`);
  }
  throw new RowMissing("no such row was there");
}

/** Statements of which one after the other is tried until it finds the row. */
function attempts({ change, binding }: OrderedChange): string[] {
  if (change.kind === "insert") return [statements.insertStatement(binding)];
  const likenesses = ["image", "text"] as const;
  if (change.kind === "delete")
    return binding.keyed
      ? [statements.deleteStatement(binding)]
      : likenesses.map((likeness) => statements.deleteOneStatement(binding, likeness));
  const row = onTopOf(change.row, change.old);
  const known = knownFields(binding, row);
  if (!binding.keyed) return likenesses.map((likeness) => statements.updateOneStatement(binding, known, likeness));
  const keyStays = !change.old || sameKey(binding, change.old, row);
  return [
    statements.updateStatement(binding, keyStays ? known.filter((field) => !binding.key.includes(field)) : known),
  ];
}

/** What names the row of a change, for a message: `(id)=(42)`. */
export function describeRow({ change, binding }: OrderedChange): string {
  const row = change.kind === "insert" ? change.row : findsRow({ change })!;
  const fields = binding.keyed ? binding.key : binding.stored.slice(0, 5);
  const values = fields.map((field) => valueText(row, field));
  return `(${fields.map((field) => binding.columns[field]!.name).join(", ")})=(${values.join(", ")})`;
}

function valueText(row: Tuple, field: number): string {
  const holder = holderOf(row, field);
  const start = holder?.bounds[2 * field] ?? nullField;
  return start === nullField
    ? "null"
    : holder!.bytes.toString("utf8", start, holder!.bounds[2 * field + 1]).slice(0, 100);
}
