import { qualify } from "../../postgres/identifiers.js";
import {
  type Change,
  type Relation,
  type Transaction,
  type Tuple,
  mergeUpdate,
  nullField,
  startOf,
  tupleHolding,
} from "../model/change.js";
import type { ValueForm } from "../model/value-form.js";
import type { Division, KeyType, TableDivision } from "./division.js";
import { KeyHash } from "./key-hash.js";

/** A table's division, with the fields of its key. */
type Bound =
  | {
      readonly by: "key";
      readonly fields: readonly { readonly field: number; readonly type: KeyType }[];
    }
  | Exclude<TableDivision, { readonly by: "key" }>;

/** Divides changes among sessions. The result depends only on the division, the change, and its transaction's number. */
export class Divider {
  readonly division: Division;
  readonly #hash: KeyHash;
  readonly #bound = new Map<Relation, Bound | undefined>();
  readonly #isComplete: boolean;

  /** @param relations the definitions of tables that the division is known to fit; by default all */
  constructor(division: Division, form: ValueForm, relations?: Iterable<Relation>) {
    this.division = division;
    this.#hash = new KeyHash(form);
    this.#isComplete = relations !== undefined;
    for (const relation of relations ?? []) this.#bind(relation);
  }

  /**
   * Returns the session that applies a change. A key that changes from one session to another has none. If two sessions deleted
   * and inserted the row, the target could get a column between their commits, and the delete would lose its value.
   *
   * @returns undefined if the change cannot be divided
   */
  divide(change: Change, transaction: Transaction): number | undefined {
    if (change.kind === "truncate") return undefined;
    const table = this.#of(change.relation);
    if (!table) return undefined;
    if (table.by === "table") return table.session;
    if (table.by === "transaction") return change.kind === "insert" ? this.#ofTransaction(transaction) : undefined;
    if (change.kind === "insert") return this.#ofKey(table, change.row);
    if (change.kind === "delete") return this.#ofKey(table, change.old);
    const { row, old } = change;
    if (!old) return this.#ofKey(table, row);
    const from = this.#ofKey(table, old);
    return from === this.#ofKey(table, mergeUpdate(row, old)) ? from : undefined;
  }

  #of(relation: Relation): Bound | undefined {
    const bound = this.#bound.get(relation);
    return bound || this.#isComplete || this.#bound.has(relation) ? bound : this.#bind(relation);
  }

  #bind(relation: Relation): Bound | undefined {
    const bound = bind(relation, this.division.tables.get(qualify(relation.schema, relation.name)));
    this.#bound.set(relation, bound);
    return bound;
  }

  #ofTransaction({ xid }: Transaction): number {
    this.#hash.begin();
    this.#hash.addText(String(xid));
    return this.#session;
  }

  #ofKey({ fields }: Bound & { readonly by: "key" }, row: Tuple): number | undefined {
    this.#hash.begin();
    for (const { field, type } of fields) {
      const holder = tupleHolding(row, field);
      if (!holder || startOf(holder, field) === nullField) return undefined;
      this.#hash.addField(type, holder, field);
    }
    return this.#session;
  }

  get #session(): number {
    return this.#hash.value % this.division.sessions;
  }
}

/** Undefined if the relation lacks a column of the key. */
function bind(relation: Relation, table: TableDivision | undefined): Bound | undefined {
  if (table?.by !== "key") return table;
  const fields = table.columns.map(({ name, type }) => ({
    type,
    field: relation.columns.findIndex((column) => column.name === name),
  }));
  return fields.every(({ field }) => field >= 0) ? { by: "key", fields } : undefined;
}
