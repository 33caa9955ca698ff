import assert from "node:assert/strict";
import type { TableComparison, TablesComparison } from "../../../provider/src/verify/compare-tables";
import { ContentBudget } from "../../../provider/src/verify/content-budget";
import { merged } from "../../../provider/src/worker/comparison/compare-together";

const name = { schema: "public", name: "big" };
const parts = ["id < 7", "id >= 7"];
const planned = parts.map((one, id) => ({ id, bytes: 1, tables: [{ ...name, parts: [one] }] }));

/** The result of a part with one row per side. */
const part = (source: string, target: string): TableComparison => ({
  ...{ schema: "public", table: "big", sourceRows: 1, targetRows: 1, equal: source === target, by: "content" },
  firstDifferences: [],
  sums: { source: { rows: 1, hash: source }, target: { rows: 1, hash: target } },
});

describe("the parts of a table that several workers compared", () => {
  const withinLimit = async (results: readonly TableComparison[]): Promise<TableComparison[]> => {
    const open = () => Promise.reject(new Error("the table is read again"));
    const budget = new ContentBudget(0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert(budget.spent.aborted);
    const comparison = {
      tables: [{ table: name }],
      mode: "content",
      jobs: 1,
      budget,
      openSource: open,
      openTarget: open,
    };
    return merged(comparison as unknown as TablesComparison, planned, results);
  };

  const result = { schema: "public", table: "big", sourceRows: 2, targetRows: 2, by: "content", firstDifferences: [] };

  it("are different without a search for the rows when the time limit has ended", async () => {
    assert.deepEqual(await withinLimit([part("1", "1"), part("2", "3")]), [{ ...result, equal: false }]);
  });

  it("are equal if their sums are, although rows are in other parts", async () => {
    assert.deepEqual(await withinLimit([part("1", "2"), part("2", "1")]), [{ ...result, equal: true }]);
  });

  it("are no result if one of them was not compared within the time limit", async () => {
    assert.deepEqual(await withinLimit([part("1", "2")]), []);
  });
});
