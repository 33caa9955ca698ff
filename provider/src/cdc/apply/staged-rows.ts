import { builtInEquality } from "../binding/equality.js";
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
 * Orders the rows by the key. Rows that are neighbours in the index, and usually in the table, are then read one after
 * another while their pages are cached.
 */
function groupOf({ staged, staging, sorted }: TableMapping): string {
  if (staged === "asRecords")
    // unnest expands each record once. `(s.c).f` would expand it for every field.
    return `(SELECT * FROM ${staging} WHERE g ${builtInEquality} $1) AS s, pg_catalog.unnest(ARRAY[s.c]) AS n, pg_catalog.unnest(ARRAY[s.o]) AS o`;
  const order = sorted.map((field) => `o${field}`).join(", ");
  return `(SELECT * FROM ${staging} WHERE g ${builtInEquality} $1${order && ` ORDER BY ${order}`}) AS s`;
}
