import type { TableMapping } from "../binding/table-mapping.js";

/**
 * How the changes of a table are applied. Folded: to the net effect on each row. Replaced: likewise, but a row that is
 * known whole is deleted and inserted anew where it would be updated; so none takes a place in a unique or an exclusion
 * constraint that another one is about to leave. Ordered: one by one as they came, which takes several times as long.
 */
export type ApplyStrategy = "folded" | "replaced" | "ordered";

/** unique_violation, exclusion_violation */
const placesTaken = new Set(["23505", "23P01"]);

/** How the tables of one batch are treated. */
export class ApplyStrategies {
  readonly #byTable: ReadonlyMap<string, ApplyStrategy>;
  readonly #others: ApplyStrategy;

  private constructor(byTable: ReadonlyMap<string, ApplyStrategy>, others: ApplyStrategy) {
    this.#byTable = byTable;
    this.#others = others;
  }

  /** @param tables by their bindings' names */
  static replacing(tables: Iterable<string>): ApplyStrategies {
    return new ApplyStrategies(new Map([...tables].map((table) => [table, "replaced"])), "folded");
  }

  of({ name }: TableMapping): ApplyStrategy {
    return this.#byTable.get(name) ?? this.#others;
  }

  get allOrdered(): boolean {
    return this.#others === "ordered";
  }

  /** Whether some changes are applied one by one. */
  get anyOrdered(): boolean {
    return this.allOrdered || [...this.#byTable.values()].includes("ordered");
  }

  get replaced(): string[] {
    return [...this.#byTable].flatMap(([table, treatment]) => (treatment === "replaced" ? table : []));
  }

  /**
   * What to try next: the order of one table's changes has nothing to do with another's.
   *
   * @param table whose changes were refused; undefined where that is not known
   * @returns undefined when there is nothing left to try
   */
  afterRefusal(table: string | undefined, { code }: { readonly code?: string }): ApplyStrategies | undefined {
    if (this.allOrdered) return undefined;
    const tried = table === undefined ? undefined : (this.#byTable.get(table) ?? this.#others);
    if (table === undefined || tried === "ordered") return new ApplyStrategies(new Map(), "ordered");
    const next = tried === "folded" && code !== undefined && placesTaken.has(code) ? "replaced" : "ordered";
    return new ApplyStrategies(new Map([...this.#byTable, [table, next]]), "folded");
  }
}
