import { type Change, type RowChange, type Truncate, type Tuple, holderOf, nullField, onTopOf } from "./change.js";
import type { Binding } from "./binding.js";

/** The net effect of a run of changes on one table whose rows have a key. */
export interface NetChanges {
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

/** Changes of one table, to be applied after one another. */
export type Part = NetChanges | { readonly ordered: readonly OrderedChange[] };

export interface TableChanges {
  readonly binding: Binding;
  readonly parts: readonly Part[];
}

/** What to do one after the other. Tables do not depend on each other: nothing on the target looks across them. */
export type Step =
  | { readonly kind: "tables"; readonly tables: readonly TableChanges[] }
  | { readonly kind: "truncate"; readonly truncate: Truncate };

/** The net operation on one key, relative to what the target holds when the run begins. */
interface Net {
  operation: "insert" | "update" | "delete" | "replace";
  row: Tuple;
}

/**
 * Folds changes in source order to one net operation per table and key. A change that does not fold with those before it
 * begins a new part of its table; TRUNCATE and a new shape of a table begin a new step.
 *
 * @param inOrder fold nothing: keep every table's changes as they came
 */
export function fold(changes: readonly Change[], bindingOf: (change: RowChange) => Binding, inOrder = false): Step[] {
  const steps: Step[] = [];
  let tables = new Map<string, TableRun>();
  const endStep = (): void => {
    if (tables.size > 0) steps.push({ kind: "tables", tables: [...tables.values()].map((table) => table.end()) });
    tables = new Map();
  };
  changes.forEach((change, place) => {
    if (change.kind === "truncate") {
      endStep();
      steps.push({ kind: "truncate", truncate: change });
      return;
    }
    const binding = bindingOf(change);
    if ((tables.get(binding.name)?.binding ?? binding) !== binding) endStep();
    let table = tables.get(binding.name);
    if (!table) tables.set(binding.name, (table = new TableRun(binding)));
    if (inOrder || !binding.keyed) table.addOrdered({ change, binding, place });
    else table.addFolded({ change, binding, place });
  });
  endStep();
  return steps;
}

class TableRun {
  readonly binding: Binding;
  readonly #parts: Part[] = [];
  #rows = new Map<string, Net>();
  #ordered: OrderedChange[] = [];

  constructor(binding: Binding) {
    this.binding = binding;
  }

  addFolded(ordered: OrderedChange): void {
    if (this.#ordered.length > 0) this.#endPart();
    if (addChange(this.#rows, this.binding, ordered.change)) return;
    this.#endPart();
    if (addChange(this.#rows, this.binding, ordered.change)) return;
    this.addOrdered(ordered);
  }

  addOrdered(ordered: OrderedChange): void {
    if (this.#rows.size > 0) this.#endPart();
    this.#ordered.push(ordered);
  }

  end(): TableChanges {
    this.#endPart();
    return { binding: this.binding, parts: this.#parts };
  }

  #endPart(): void {
    if (this.#rows.size > 0) this.#parts.push(netChanges(this.binding, this.#rows));
    if (this.#ordered.length > 0) this.#parts.push(withoutKeys(this.binding, this.#ordered));
    this.#rows = new Map();
    this.#ordered = [];
  }
}

/** Inserts alone have no order among them. */
function withoutKeys(binding: Binding, ordered: readonly OrderedChange[]): Part {
  const inserts = ordered.flatMap(({ change }) => (change.kind === "insert" ? [change.row] : []));
  const foldable = !binding.keyed && inserts.length === ordered.length;
  return foldable ? { deletes: [], updates: [], inserts } : { ordered };
}

/** False when the change does not fold with what is here: nothing was done then. */
function addChange(rows: Map<string, Net>, binding: Binding, change: RowChange): boolean {
  switch (change.kind) {
    case "insert":
      return addInsert(rows, binding, change.row);
    case "update":
      return addUpdate(rows, binding, change.row, change.old);
    case "delete":
      return addDelete(rows, binding, change.old);
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

function netChanges(binding: Binding, rows: ReadonlyMap<string, Net>): NetChanges {
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
  return { deletes, updates: [...groups.values()], inserts };
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
