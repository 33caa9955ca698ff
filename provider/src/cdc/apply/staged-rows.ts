import type { TableMapping } from "../binding/table-mapping.js";
import type { Rows } from "./apply-statements.js";

/** The rows of group $1 in a binding's staging table. */
export const stagedRows = (binding: TableMapping): Rows => {
  const [news, olds] = binding.staged === "asRecords" ? ["n", "o"] : ["s", "s"];
  return {
    from: groupOf(binding),
    newValue: (field) => `${news}.c${field}`,
    oldValue: (field) => `${olds}.o${field}`,
  };
};

/**
 * In the order of the key: neighbours in an index, and most often in the table, are then met one after another while
 * their pages are at hand.
 */
function groupOf({ staged, staging, sorted }: TableMapping): string {
  if (staged === "asRecords")
    // Taken apart once for a row, where each mention of a field would do so anew.
    return `(SELECT * FROM ${staging} WHERE g = $1) AS s, unnest(ARRAY[s.c]) AS n, unnest(ARRAY[s.o]) AS o`;
  const order = sorted.map((field) => `o${field}`).join(", ");
  return `(SELECT * FROM ${staging} WHERE g = $1${order && ` ORDER BY ${order}`}) AS s`;
}
