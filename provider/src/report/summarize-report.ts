import type { MigrationReport } from "./report-schema.js";

/** How the tables of a migration were compared. */
export interface ComparisonSummary {
  readonly tables: number;
  readonly equalByContent: number;
  readonly equalByCounts: number;
  readonly different: number;
  readonly notCompared: number;
}

export function summarizeComparisons(tables: MigrationReport["tables"]): ComparisonSummary {
  const count = (isCounted: (comparison: MigrationReport["tables"][number]["comparison"]) => boolean): number =>
    tables.filter(({ comparison }) => isCounted(comparison)).length;
  return {
    tables: tables.length,
    equalByContent: count((one) => one?.result === "equal" && one.by === "content"),
    equalByCounts: count((one) => one?.result === "equal" && one.by === "counts"),
    different: count((one) => one?.result === "different"),
    notCompared: count((one) => one === undefined),
  };
}

/**
 * The comparison in one sentence.
 *
 * @example verdict({ tables: 3, equalByContent: 2, equalByCounts: 1, different: 0, notCompared: 0 });
 * // "3 tables: 2 equal by content, 1 equal by row count"
 */
export function verdict({ tables, ...numbers }: ComparisonSummary): string {
  const words = { different: "different", equalByContent: "equal by content", equalByCounts: "equal by row count" };
  const parts = Object.entries({ ...words, notCompared: "not compared" }).flatMap(([key, word]) => {
    const number = numbers[key as keyof typeof numbers];
    return number === 0 ? [] : [`${number.toLocaleString("en")} ${word}`];
  });
  const all = `${tables.toLocaleString("en")} ${tables === 1 ? "table" : "tables"}`;
  return parts.length === 0 ? all : `${all}: ${parts.join(", ")}`;
}
