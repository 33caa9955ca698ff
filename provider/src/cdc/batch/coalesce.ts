import type { Coalescer, NetChanges } from "./net-changes.js";
import type { TableMapping } from "../binding/table-mapping.js";
import type { Change, RowChange, Truncate } from "../model/change.js";
import { CoalesceByContent } from "./coalesce-by-content.js";
import { CoalesceByKey } from "./coalesce-by-key.js";

export interface OrderedChange {
  readonly change: RowChange;
  readonly binding: TableMapping;
  /** Its place in the batch, for naming its transaction. */
  readonly place: number;
}

/** Changes of one table, to be applied after one another. */
export type Part = NetChanges | { readonly ordered: readonly OrderedChange[] };

export interface TableChanges {
  readonly binding: TableMapping;
  readonly parts: readonly Part[];
}

/** What to do one after the other. Tables do not depend on each other: nothing on the target looks across them. */
export type Step =
  | { readonly kind: "tables"; readonly tables: readonly TableChanges[] }
  | { readonly kind: "truncate"; readonly truncate: Truncate };

/**
 * Folds changes in source order to one net operation per table and key, or per table and content where there is no key.
 * A change that does not fold with those before it begins a new part of its table; TRUNCATE and a new shape of a table
 * begin a new step.
 *
 * @param isOrdered of which tables to fold nothing: their changes are kept as they came
 */
export function coalesce(
  changes: readonly Change[],
  bindingOf: (change: RowChange) => TableMapping,
  isOrdered: (binding: TableMapping) => boolean = () => false,
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
  readonly binding: TableMapping;
  readonly #parts: Part[] = [];
  #folding: Coalescer;
  #ordered: OrderedChange[] = [];

  constructor(binding: TableMapping) {
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

const foldingOf = (binding: TableMapping): Coalescer =>
  binding.keyed ? new CoalesceByKey(binding) : new CoalesceByContent(binding);
