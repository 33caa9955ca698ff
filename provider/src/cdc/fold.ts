import { type Change, type RowChange, type Truncate, type Tuple, holderOf, nullField, onTopOf } from "./change.js";
import type { Binding } from "./binding.js";

/** The net effect of a run of changes on one table whose rows have a key. */
export interface NetChanges {
  readonly binding: Binding;
  /** Rows of which at least the key is known. */
  readonly deletes: readonly Tuple[];
  /** By the columns that they know. */
  readonly updates: readonly UpdateGroup[];
  readonly inserts: readonly Tuple[];
}

export interface UpdateGroup {
  /** Indexes into the relation's columns, in order; the key's are among them. */
  readonly fields: readonly number[];
  readonly rows: readonly Tuple[];
}

export interface OrderedChange {
  readonly change: RowChange;
  readonly binding: Binding;
  /** Its place in the batch, for naming its transaction. */
  readonly place: number;
}

/** What to do one after the other. Within `net`, tables and the changes of rows without a key are independent. */
export type Step =
  | { readonly kind: "net"; readonly tables: readonly NetChanges[]; readonly keyless: readonly OrderedChange[] }
  | { readonly kind: "ordered"; readonly changes: readonly OrderedChange[] }
  | { readonly kind: "truncate"; readonly truncate: Truncate; readonly place: number };

/** The net operation on one key, relative to what the target holds when the run begins. */
interface Net {
  operation: "insert" | "update" | "delete" | "replace";
  row: Tuple;
}

/**
 * Folds changes in source order to one net operation per table and key. TRUNCATE, a new shape of a table, and a change
 * that cannot be folded end a run.
 */
export function fold(changes: readonly Change[], bindingOf: (change: RowChange) => Binding): Step[] {
  const steps: Step[] = [];
  let run = new Run();
  const endRun = (): void => {
    steps.push(...run.steps());
    run = new Run();
  };
  changes.forEach((change, place) => {
    if (change.kind === "truncate") {
      endRun();
      steps.push({ kind: "truncate", truncate: change, place });
      return;
    }
    const binding = bindingOf(change);
    if (run.hasOtherShapeOf(binding)) endRun();
    if (run.add(change, binding, place)) return;
    endRun();
    if (!run.add(change, binding, place)) steps.push({ kind: "ordered", changes: [{ change, binding, place }] });
  });
  endRun();
  return steps;
}

class Run {
  readonly #tables = new Map<string, { binding: Binding; rows: Map<string, Net>; keyless: OrderedChange[] }>();

  hasOtherShapeOf(binding: Binding): boolean {
    const known = this.#tables.get(binding.name);
    return known !== undefined && known.binding !== binding;
  }

  /** False when the change does not fold with what is here: nothing was done then. */
  add(change: RowChange, binding: Binding, place: number): boolean {
    let table = this.#tables.get(binding.name);
    if (!table) this.#tables.set(binding.name, (table = { binding, rows: new Map(), keyless: [] }));
    if (!binding.keyed) {
      table.keyless.push({ change, binding, place });
      return true;
    }
    switch (change.kind) {
      case "insert":
        return addInsert(table.rows, binding, change.row);
      case "update":
        return addUpdate(table.rows, binding, change.row, change.old);
      case "delete":
        return addDelete(table.rows, binding, change.old);
    }
  }

  steps(): Step[] {
    const tables: NetChanges[] = [];
    const keyless: OrderedChange[] = [];
    for (const { binding, rows, keyless: changes } of this.#tables.values()) {
      if (rows.size > 0) tables.push(netChanges(binding, rows));
      if (changes.length === 0) continue;
      // Inserts alone have no order among them.
      const inserts = changes.flatMap(({ change }) => (change.kind === "insert" ? [change.row] : []));
      if (inserts.length === changes.length) tables.push({ binding, deletes: [], updates: [], inserts });
      else keyless.push(...changes);
    }
    return tables.length + keyless.length === 0 ? [] : [{ kind: "net", tables, keyless }];
  }
}

function addInsert(rows: Map<string, Net>, binding: Binding, row: Tuple): boolean {
  const key = keyText(binding, row);
  const net = rows.get(key);
  if (!net) rows.set(key, { operation: "insert", row });
  else if (net.operation === "delete") rows.set(key, { operation: "replace", row });
  else return false;
  return true;
}

function addDelete(rows: Map<string, Net>, binding: Binding, old: Tuple): boolean {
  const key = keyText(binding, old);
  const net = rows.get(key);
  if (net?.operation === "delete") return false;
  if (net?.operation === "insert") rows.delete(key);
  else rows.set(key, { operation: "delete", row: old });
  return true;
}

function addUpdate(rows: Map<string, Net>, binding: Binding, row: Tuple, old: Tuple | undefined): boolean {
  const before = onTopOf(row, old);
  const oldKey = keyText(binding, old ?? row);
  const newKey = keyText(binding, before);
  const net = rows.get(oldKey);
  if (net?.operation === "delete") return false;
  // What the batch knows of the row holds the old key too, so it can stand below instead of the old key alone.
  const after = net ? onTopOf(before, net.row) : before;
  if (newKey === oldKey) {
    rows.set(oldKey, { operation: net?.operation ?? "update", row: after });
    return true;
  }
  const place = rows.get(newKey);
  if (!knowsAll(binding, after) || (place && place.operation !== "delete")) return false;
  addDelete(rows, binding, old ?? row);
  return addInsert(rows, binding, after);
}

function netChanges(binding: Binding, rows: Map<string, Net>): NetChanges {
  const deletes: Tuple[] = [];
  const inserts: Tuple[] = [];
  const groups = new Map<string, { fields: number[]; rows: Tuple[] }>();
  for (const { operation, row } of rows.values()) {
    if (operation === "delete") deletes.push(row);
    else if (operation === "insert") inserts.push(row);
    else {
      const fields = knownFields(binding, row);
      const name = fields.join();
      const group = groups.get(name);
      if (group) group.rows.push(row);
      else groups.set(name, { fields, rows: [row] });
    }
  }
  return { binding, deletes, updates: [...groups.values()], inserts };
}

/** The relation's fields that the target stores and this row says. */
export const knownFields = (binding: Binding, row: Tuple): number[] =>
  binding.stored.filter((field) => holderOf(row, field) !== undefined);

const knowsAll = (binding: Binding, row: Tuple): boolean =>
  binding.stored.every((field) => holderOf(row, field) !== undefined);

export const sameKey = (binding: Binding, one: Tuple, other: Tuple): boolean =>
  keyText(binding, one) === keyText(binding, other);

/**
 * The key's bytes as one string, for use as a map's key. Equal keys of one row always have equal bytes: the source sends
 * the old key as soon as its bytes differ, even where the type calls them equal.
 */
function keyText(binding: Binding, row: Tuple): string {
  let text = "";
  for (const field of binding.key) {
    const holder = holderOf(row, field);
    const start = holder?.bounds[2 * field] ?? nullField;
    const value = start === nullField ? "" : holder!.bytes.toString("latin1", start, holder!.bounds[2 * field + 1]);
    text += `${start === nullField ? "n" : value.length}:${value}`;
  }
  return text;
}
