import type { Binding } from "./binding.js";
import { type Tuple, onTopOf } from "./change.js";
import { foundBy } from "./describe-row.js";
import type { NetChanges, OrderedChange, TableChanges, UpdateGroup } from "./fold.js";
import type { Statement } from "./round-trip.js";
import { knownFields, sameKey } from "./row-identity.js";
import { isWorthIt, mayLookUp } from "./row-lookup.js";
import type { StagedRow, Staging } from "./staging.js";
import * as statements from "./statements.js";

/** A statement that applies changes. */
export interface Action {
  readonly statement: Statement;
  /** The table that it changes, or whose changes it stages. */
  readonly binding?: Binding;
  /** How many rows it must affect. */
  readonly rows?: number;
  /** The one change that it applies, when it is one. */
  readonly change?: OrderedChange;
}

/**
 * What applies the changes of one table, part after part; in a net part deletes, updates and inserts, each kind in one go.
 *
 * @param replaces rows that are known whole are deleted and inserted rather than updated
 */
export function actionsOn(staging: Staging, { binding, parts }: TableChanges, replaces = false): Action[] {
  const stage = new Stage(staging, binding);
  for (const part of parts) {
    if ("ordered" in part) for (const change of part.ordered) stage.single(change);
    else stage.net(replaces ? replacing(binding, part) : part);
  }
  return stage.end();
}

function replacing(binding: Binding, { deletes, updates, inserts }: NetChanges): NetChanges {
  const isWhole = ({ fields }: UpdateGroup): boolean =>
    binding.unmatched.length === 0 && fields.length === binding.stored.length;
  const replaced = updates.filter(isWhole).flatMap(({ rows }) => rows);
  return {
    deletes: [...deletes, ...replaced],
    updates: updates.filter((group) => !isWhole(group)),
    inserts: [...replaced, ...inserts],
  };
}

/** Collects rows to stage and the statements for them, so that many small parts cost one COPY. */
class Stage {
  readonly #staging: Staging;
  readonly #binding: Binding;
  readonly #actions: Action[] = [];
  #rows: StagedRow[] = [];
  #staged: Action[] = [];

  constructor(staging: Staging, binding: Binding) {
    this.#staging = staging;
    this.#binding = binding;
  }

  net({ deletes, updates, inserts }: NetChanges): void {
    const binding = this.#binding;
    if (binding.keyed) this.#deleteAll(deletes, statements.deleteStatement(binding));
    else this.#deleteEqual(deletes);
    for (const { fields, rows } of updates) {
      const group = this.#staging.nextGroup();
      const set = fields.filter((field) => !binding.key.includes(field));
      this.#add(group, statements.updateStatement(binding, set), rows.length);
      for (const row of rows) this.#rows.push({ group, row, old: row });
    }
    if (inserts.length === 0) return;
    this.#flush();
    this.#actions.push({ statement: this.#staging.insert(binding, inserts), binding, rows: inserts.length });
  }

  single(ordered: OrderedChange): void {
    const group = this.#staging.nextSingle(this.#binding);
    this.#add(group, statementFor(ordered), 1, ordered);
    this.#rows.push({ group, row: newRowOf(ordered), old: foundBy(ordered) });
  }

  end(): Action[] {
    this.#flush();
    return this.#actions;
  }

  #deleteAll(rows: readonly Tuple[], statement: string): void {
    if (rows.length === 0) return;
    const group = this.#staging.nextGroup();
    this.#add(group, statement, rows.length);
    for (const old of rows) this.#rows.push({ group, row: undefined, old });
  }

  #deleteEqual(rows: readonly Tuple[]): void {
    const binding = this.#binding;
    const looked = rows.filter((row) => isLookedUp(binding, row, rows.length));
    if (looked.length > 0) this.#deleteAll(looked, statements.deleteEqualStatement(binding, true));
    const others = looked.length === 0 ? rows : rows.filter((row) => !isLookedUp(binding, row, rows.length));
    if (others.length === 0) return;
    // The staged rows meet the whole table here. A nested loop, to which the planner's guess of a few staged rows leads,
    // would print every row of the table once for each of them.
    for (const setting of ["enable_hashjoin = on", "enable_nestloop = off"]) this.#set(setting);
    this.#deleteAll(others, statements.deleteEqualStatement(binding, false));
    for (const setting of ["enable_nestloop = on", "enable_hashjoin = off"]) this.#set(setting);
  }

  #set(setting: string): void {
    this.#staged.push({ statement: { text: `SET LOCAL ${setting}` } });
  }

  #add(group: number, text: string, rows: number, change?: OrderedChange): void {
    const statement = { text, values: [String(group)], prepared: true };
    this.#staged.push({ statement, binding: this.#binding, rows, ...(change ? { change } : {}) });
  }

  #flush(): void {
    if (this.#rows.length === 0) return;
    for (const statement of this.#staging.fill(this.#binding, this.#rows))
      this.#actions.push({ statement, binding: this.#binding });
    this.#actions.push(...this.#staged);
    this.#rows = [];
    this.#staged = [];
  }
}

function newRowOf({ change }: OrderedChange): StagedRow["row"] {
  if (change.kind === "delete") return undefined;
  return change.kind === "update" ? onTopOf(change.row, change.old) : change.row;
}

const isLookedUp = ({ lookup }: Binding, row: Tuple, rows: number): boolean =>
  lookup !== undefined && isWorthIt(lookup, rows) && mayLookUp(lookup, row);

function statementFor(ordered: OrderedChange): string {
  const { change, binding } = ordered;
  if (change.kind === "insert") return statements.insertStatement(binding);
  const looked = isLookedUp(binding, foundBy(ordered)!, 1);
  if (change.kind === "delete")
    return binding.keyed ? statements.deleteStatement(binding) : statements.deleteOneStatement(binding, looked);
  const row = onTopOf(change.row, change.old);
  const known = knownFields(binding, row);
  if (!binding.keyed) return statements.updateOneStatement(binding, known, looked);
  const keyStays = !change.old || sameKey(binding, change.old, row);
  return statements.updateStatement(binding, keyStays ? known.filter((field) => !binding.key.includes(field)) : known);
}
