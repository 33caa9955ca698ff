import type { Binding } from "../binding/table-mapping.js";
import type { Change, RowChange, Truncate, Tuple } from "../model/change.js";
import { FoldByContent } from "./coalesce-by-content.js";
import { FoldByKey } from "./coalesce-by-key.js";

/** The net effect of a run of changes on one table. */
export interface NetChanges {
  /** Rows of which at least the key is known; all of it where there is no key, and equal ones as often as they go. */
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

/** Takes changes in source order for as long as their net effect can be told. */
export interface Folding {
  /** False when the change does not fold with what is here: nothing was done then. */
  add(change: RowChange): boolean;
  readonly isEmpty: boolean;
  net(): NetChanges;
}

/**
 * Folds changes in source order to one net operation per table and key, or per table and content where there is no key.
 * A change that does not fold with those before it begins a new part of its table; TRUNCATE and a new shape of a table
 * begin a new step.
 *
 * @param isOrdered of which tables to fold nothing: their changes are kept as they came
 */
export function fold(
  changes: readonly Change[],
  bindingOf: (change: RowChange) => Binding,
  isOrdered: (binding: Binding) => boolean = () => false,
): Step[] {
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
    if (isOrdered(binding)) table.addOrdered({ change, binding, place });
    else table.addFolded({ change, binding, place });
  });
  endStep();
  return steps;
}

class TableRun {
  readonly binding: Binding;
  readonly #parts: Part[] = [];
  #folding: Folding;
  #ordered: OrderedChange[] = [];

  constructor(binding: Binding) {
    this.binding = binding;
    this.#folding = foldingOf(binding);
  }

  addFolded(ordered: OrderedChange): void {
    if (this.#ordered.length > 0) this.#endPart();
    if (this.#folding.add(ordered.change)) return;
    this.#endPart();
    if (this.#folding.add(ordered.change)) return;
    this.addOrdered(ordered);
  }

  addOrdered(ordered: OrderedChange): void {
    if (!this.#folding.isEmpty) this.#endPart();
    this.#ordered.push(ordered);
  }

  end(): TableChanges {
    this.#endPart();
    return { binding: this.binding, parts: this.#parts };
  }

  #endPart(): void {
    if (!this.#folding.isEmpty) this.#parts.push(this.#folding.net());
    if (this.#ordered.length > 0) this.#parts.push({ ordered: this.#ordered });
    this.#folding = foldingOf(this.binding);
    this.#ordered = [];
  }
}

const foldingOf = (binding: Binding): Folding => (binding.keyed ? new FoldByKey(binding) : new FoldByContent(binding));
