import { qualify } from "../postgres/identifiers.js";
import { type TableComparison, type TablesComparison, compareTables } from "./compare-tables.js";
import { ContentBudget } from "./content-budget.js";

/**
 * Compares tables by content within the budget, the smallest first, and all others by their numbers of rows, without a
 * time limit. If the budget ends during a table's comparison, its rows are counted.
 *
 * @param compare compares tables alone, or together with other workers
 * @returns one comparison per table, in the given order, with its method
 * @throws the errors of {@link compareTables}
 */
export async function compareWithinBudget(
  comparison: Omit<TablesComparison, "mode" | "budget">,
  budgetSeconds: number,
  compare: typeof compareTables = compareTables,
): Promise<TableComparison[]> {
  const budget = new ContentBudget(
    budgetSeconds,
    comparison.targetRests?.then(() => 0),
  );
  const results = await compare({ ...comparison, mode: "content", budget });
  const known = new Map(results.map((one) => [qualify(one.schema, one.table), one]));
  const rest = comparison.tables.filter(({ table }) => !known.has(qualify(table.schema, table.name)));
  const counted = rest.length === 0 ? [] : await compare({ ...comparison, tables: rest, mode: "counts" });
  for (const one of counted) known.set(qualify(one.schema, one.table), one);
  return comparison.tables.map(({ table }) => known.get(qualify(table.schema, table.name))!);
}
