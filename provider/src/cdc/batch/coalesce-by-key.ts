import type { TableMapping } from "../binding/table-mapping.js";
import { type RowChange, type Tuple, mergeUpdate } from "../model/change.js";
import type { Coalescer, NetChanges } from "./net-changes.js";
import { contentText, keyText, knownFields, knowsAll } from "./row-identity.js";

/** The net operation on one key, relative to the target's state before the batch. */
interface Net {
  operation: "insert" | "update" | "delete" | "replace";
  row: Tuple;
}

/** Coalesces changes of rows with a key into one operation for each key. */
export class CoalesceByKey implements Coalescer {
  readonly #binding: TableMapping;
  readonly #rows = new Map<string, Net>();
  #replacesRows = false;

  constructor(binding: TableMapping) {
    this.#binding = binding;
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  add(change: RowChange): boolean {
    switch (change.kind) {
      case "insert":
        return this.#insert(change.row);
      case "update":
        return this.#update(change.row, change.old);
      case "delete":
        return this.#delete(change.old);
    }
  }

  net(): NetChanges {
    const deletes: Tuple[] = [];
    const inserts: Tuple[] = [];
    const groups = new Map<string, { fields: number[]; rows: Tuple[] }>();
    for (const { operation, row } of this.#rows.values()) {
      if (operation === "delete") deletes.push(row);
      else if (operation === "insert") inserts.push(row);
      else {
        const fields = knownFields(this.#binding, row);
        const name = fields.join();
        const group = groups.get(name);
        if (group) group.rows.push(row);
        else groups.set(name, { fields, rows: [row] });
      }
    }
    return { deletes, updates: [...groups.values()], inserts, replacesRows: this.#replacesRows };
  }

  /**
   * Whether the target has columns that the stream lacks. A delete and an insert in place of a changed key would lose the
   * row's values in them. An update in place of a delete and an insert would keep the values of the deleted row.
   */
  get #hasUnmatched(): boolean {
    return this.#binding.unmatched.length > 0;
  }

  /**
   * Whether a change with this old row can concern the row of `net`. REPLICA IDENTITY FULL sends complete old rows. If one differs
   * from the row of its key, several rows had this key. The source's table then had no primary key for a while.
   */
  #mayBe({ operation, row }: Net, old: Tuple | undefined): boolean {
    const binding = this.#binding;
    if (operation === "delete") return false;
    if (!old || !knowsAll(binding, old) || !knowsAll(binding, row)) return true;
    return contentText(binding, old) === contentText(binding, row);
  }

  #insert(row: Tuple): boolean {
    const key = keyText(this.#binding, row);
    const net = this.#rows.get(key);
    if (!net) this.#rows.set(key, { operation: "insert", row });
    else if (net.operation === "delete" && !this.#hasUnmatched) {
      this.#rows.set(key, { operation: "replace", row });
      this.#replacesRows = true;
    } else return false;
    return true;
  }

  #delete(old: Tuple): boolean {
    const key = keyText(this.#binding, old);
    const net = this.#rows.get(key);
    if (net && !this.#mayBe(net, old)) return false;
    if (net?.operation === "insert") this.#rows.delete(key);
    else this.#rows.set(key, { operation: "delete", row: old });
    return true;
  }

  #update(row: Tuple, old: Tuple | undefined): boolean {
    const before = mergeUpdate(row, old);
    const oldKey = keyText(this.#binding, old ?? row);
    const newKey = old ? keyText(this.#binding, before) : oldKey;
    const net = this.#rows.get(oldKey);
    if (net && !this.#mayBe(net, old)) return false;
    // The row as the batch knows it includes the old key, so it can replace the old key as the base.
    const after = net ? mergeUpdate(before, net.row) : before;
    if (newKey === oldKey) {
      if (net) net.row = after;
      else this.#rows.set(oldKey, { operation: "update", row: after });
      return true;
    }
    const place = this.#rows.get(newKey);
    if (this.#hasUnmatched || !knowsAll(this.#binding, after) || (place && place.operation !== "delete")) return false;
    this.#replacesRows = true;
    this.#delete(old ?? row);
    return this.#insert(after);
  }
}
