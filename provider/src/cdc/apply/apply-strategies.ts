import { sqlStates } from "../../postgres/sql-state.js";
import type { TableMapping } from "../binding/table-mapping.js";

/**
 * How the changes of a table are applied:
 *
 * - coalesced: the net effect on each row
 * - replaced: the net effect, but an update of a completely known row becomes a delete and an insert. A row then does not violate
 *   a unique or exclusion constraint when another row gives up the same value in this batch.
 * - sequential: change by change in the source's order, which takes several times as long
 */
export type ApplyStrategy = "coalesced" | "replaced" | "sequential";

const exclusionViolation = "23P01";
const conflictStates: ReadonlySet<string> = new Set([sqlStates.uniqueViolation, exclusionViolation]);

/** The strategy for each table of one batch. */
export class ApplyStrategies {
  readonly #byTable: ReadonlyMap<string, ApplyStrategy>;
  readonly #others: ApplyStrategy;

  private constructor(byTable: ReadonlyMap<string, ApplyStrategy>, others: ApplyStrategy) {
    this.#byTable = byTable;
    this.#others = others;
  }

  /** @param tables names of the tables whose updated rows are replaced */
  static replacing(tables: Iterable<string>): ApplyStrategies {
    return new ApplyStrategies(new Map([...tables].map((table) => [table, "replaced"])), "coalesced");
  }

  of({ name }: TableMapping): ApplyStrategy {
    return this.#byTable.get(name) ?? this.#others;
  }

  get allSequential(): boolean {
    return this.#others === "sequential";
  }

  /** Whether some changes are applied one by one. */
  get anySequential(): boolean {
    return this.allSequential || [...this.#byTable.values()].includes("sequential");
  }

  get replaced(): string[] {
    return [...this.#byTable].flatMap(([table, strategy]) => (strategy === "replaced" ? table : []));
  }

  /**
   * The strategies for the next attempt. Only the refused table changes: tables do not depend on each other's order.
   *
   * @param table the table whose changes were refused; undefined if it is unknown
   * @returns undefined if no strategy is left
   */
  afterRefusal(table: string | undefined, { code }: { readonly code?: string }): ApplyStrategies | undefined {
    if (this.allSequential) return undefined;
    const tried = table === undefined ? undefined : (this.#byTable.get(table) ?? this.#others);
    if (table === undefined || tried === "sequential") return new ApplyStrategies(new Map(), "sequential");
    const next = tried === "coalesced" && code !== undefined && conflictStates.has(code) ? "replaced" : "sequential";
    return new ApplyStrategies(new Map([...this.#byTable, [table, next]]), "coalesced");
  }
}
