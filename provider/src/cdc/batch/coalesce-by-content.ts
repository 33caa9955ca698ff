import type { TableMapping } from "../binding/table-mapping.js";
import { type RowChange, type Tuple, mergeUpdate } from "../model/change.js";
import type { Coalescer, NetChanges } from "./net-changes.js";
import { contentText, knowsAll } from "./row-identity.js";

/** Rows of one content: so many more, or fewer, than the target holds when the run begins. */
interface Count {
  rows: number;
  readonly row: Tuple;
}

/**
 * Changes of rows that have no key. Equal rows cannot be told apart, on either side: so a table is how often it has each
 * content, and an update is a row less of the old and one more of the new.
 */
export class CoalesceByContent implements Coalescer {
  readonly #binding: TableMapping;
  readonly #counts = new Map<string, Count>();
  /** Of a table that says no old rows there is nothing that an insert could meet. */
  readonly #insertsOnly: Tuple[] = [];

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
      // What the target has beyond the source's columns would be lost with the old row.
      if (this.#binding.unmatched.length > 0 || !knowsAll(this.#binding, after)) return false;
      this.#count(after, 1);
    }
    this.#count(before, -1);
    return true;
  }

  net(): NetChanges {
    const deletes: Tuple[] = [];
    const inserts = [...this.#insertsOnly];
    for (const { row, rows } of this.#counts.values())
      for (let left = Math.abs(rows); left > 0; left--) (rows < 0 ? deletes : inserts).push(row);
    return { deletes, updates: [], inserts };
  }

  #count(row: Tuple, rows: 1 | -1): void {
    const content = contentText(this.#binding, row);
    const count = this.#counts.get(content);
    if (count) count.rows += rows;
    else this.#counts.set(content, { rows, row });
  }
}
