import type { TableMapping } from "../binding/table-mapping.js";
import { type RowChange, type Tuple, mergeUpdate } from "../model/change.js";
import type { Coalescer, NetChanges } from "./net-changes.js";
import { contentText, knowsAll } from "./row-identity.js";

/** The change in the number of rows with one content, relative to the target's state before the batch. */
interface Count {
  rows: number;
  readonly row: Tuple;
}

/**
 * Coalesces changes of rows without a key. Equal rows are interchangeable, so the state of a table is a count for each
 * content. An update removes one row of the old content and adds one of the new content.
 */
export class CoalesceByContent implements Coalescer {
  readonly #binding: TableMapping;
  readonly #counts = new Map<string, Count>();
  /** The rows of tables that publish inserts only. No other change can concern them. */
  readonly #insertsOnly: Tuple[] = [];
  #replacesRows = false;

  constructor(binding: TableMapping) {
    this.#binding = binding;
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0 && this.#insertsOnly.length === 0;
  }

  add(change: RowChange): boolean {
    if (change.kind === "insert") {
      if (this.#binding.relation.replicaIdentity === "f") this.#count(change.row, 1);
      else this.#insertsOnly.push(change.row);
      return true;
    }
    const before = change.old;
    if (!before || !knowsAll(this.#binding, before)) return false;
    if (change.kind === "update") {
      const after = mergeUpdate(change.row, before);
      // Values in columns that only the target has would be lost with the old row.
      if (this.#binding.unmatched.length > 0 || !knowsAll(this.#binding, after)) return false;
      this.#count(after, 1);
      this.#replacesRows = true;
    }
    this.#count(before, -1);
    return true;
  }

  net(): NetChanges {
    const deletes: Tuple[] = [];
    const inserts = [...this.#insertsOnly];
    for (const { row, rows } of this.#counts.values())
      for (let left = Math.abs(rows); left > 0; left--) (rows < 0 ? deletes : inserts).push(row);
    return { deletes, updates: [], inserts, replacesRows: this.#replacesRows };
  }

  #count(row: Tuple, rows: 1 | -1): void {
    const content = contentText(this.#binding, row);
    const count = this.#counts.get(content);
    if (count) count.rows += rows;
    else this.#counts.set(content, { rows, row });
  }
}
