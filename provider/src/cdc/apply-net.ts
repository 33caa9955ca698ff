import type { Client } from "pg";
import type { NetChanges } from "./fold.js";
import { RowMissing } from "./row-missing.js";
import { type StagedRow, type Staging, copyRows } from "./staging.js";
import { deleteStatement, updateStatement } from "./statements.js";

/**
 * Applies the net changes of one table: deletes, updates, inserts, each kind in one go.
 *
 * @throws RowMissing when a row to be deleted or updated is not there
 */
export async function applyNet(
  target: Client,
  staging: Staging,
  { binding, deletes, updates, inserts }: NetChanges,
): Promise<void> {
  const staged: StagedRow[] = deletes.map((old) => ({ group: 0, row: undefined, old }));
  updates.forEach(({ rows }, index) => {
    for (const row of rows) staged.push({ group: index + 1, row, old: row });
  });
  if (staged.length > 0) await staging.fill(binding, staged);
  const mustAffect = async (count: number, text: string, group: number): Promise<void> => {
    const { rowCount } = await target.query(text, [group]);
    if (rowCount !== count) throw new RowMissing(`${rowCount ?? 0} of ${count} rows of ${binding.name} were there`);
  };
  if (deletes.length > 0) await mustAffect(deletes.length, deleteStatement(binding), 0);
  for (const [index, { fields, rows }] of updates.entries()) {
    const set = fields.filter((field) => !binding.key.includes(field));
    await mustAffect(rows.length, updateStatement(binding, set), index + 1);
  }
  if (inserts.length > 0) await copyRows(target, binding, inserts);
}
