import type { Coalescer, NetChanges } from "./net-changes.js";
import type { TableMapping } from "../binding/table-mapping.js";
import type { Change, RowChange, Truncate } from "../model/change.js";
import { CoalesceByContent } from "./coalesce-by-content.js";
import { CoalesceByKey } from "./coalesce-by-key.js";

export interface OrderedChange {
  readonly change: RowChange;
  readonly binding: TableMapping;
  /** Its index in the batch, from which messages find its transaction. */
  readonly place: number;
}

/** A run of changes of one table. The parts of a table are applied in order. */
export type Part = NetChanges | { readonly sequential: readonly OrderedChange[] };

export interface TableChanges {
  readonly binding: TableMapping;
  readonly parts: readonly Part[];
}

/** Steps are applied in order. Tables of one step are independent, because no foreign key or trigger fires on the target. */
export type Step =
  | { readonly kind: "tables"; readonly tables: readonly TableChanges[] }
  | { readonly kind: "truncate"; readonly truncate: Truncate };

/**
 * Coalesces changes in source order into one net operation per table and key, or per table and content without a key. A
 * change that cannot be coalesced with the earlier ones begins a new part of its table. TRUNCATE, and a new definition of
 * a table, begin a new step.
 *
 * @param isSequential selects the tables whose changes are not coalesced
 */
export function coalesce(
  changes: readonly Change[],
  bindingOf: (change: RowChange) => TableMapping,
  isSequential: (binding: TableMapping) => boolean = () => false,
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
    if (isSequential(binding)) table.addSequential({ change, binding, place });
    else table.addCoalesced({ change, binding, place });
  });
  endStep();
  return steps;
}

class TableRun {
  readonly binding: TableMapping;
  readonly #parts: Part[] = [];
  #coalescer: Coalescer;
  #sequential: OrderedChange[] = [];

  constructor(binding: TableMapping) {
    this.binding = binding;
    this.#coalescer = coalescerFor(binding);
  }

  addCoalesced(ordered: OrderedChange): void {
    if (this.#sequential.length > 0) this.#endPart();
    if (this.#coalescer.add(ordered.change)) return;
    this.#endPart();
    if (this.#coalescer.add(ordered.change)) return;
    this.addSequential(ordered);
  }

  addSequential(ordered: OrderedChange): void {
    if (!this.#coalescer.isEmpty) this.#endPart();
    this.#sequential.push(ordered);
  }

  end(): TableChanges {
    this.#endPart();
    return { binding: this.binding, parts: this.#parts };
  }

  #endPart(): void {
    if (!this.#coalescer.isEmpty) this.#parts.push(this.#coalescer.net());
    if (this.#sequential.length > 0) this.#parts.push({ sequential: this.#sequential });
    this.#coalescer = coalescerFor(this.binding);
    this.#sequential = [];
  }
}

const coalescerFor = (binding: TableMapping): Coalescer =>
  binding.keyed ? new CoalesceByKey(binding) : new CoalesceByContent(binding);
