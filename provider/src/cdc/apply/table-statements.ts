import type { TableMapping } from "../binding/table-mapping.js";
import { type Tuple, mergeUpdate } from "../model/change.js";
import { foundBy } from "./describe-row.js";
import type { OrderedChange, TableChanges } from "../batch/coalesce.js";
import type { NetChanges, UpdateGroup } from "../batch/net-changes.js";
import type { Statement } from "../wire/pipelined-queries.js";
import { knownFields, sameKey } from "../batch/row-identity.js";
import { isIndexLookupCheaper, mayLookUp } from "../binding/row-lookup.js";
import { type RowStates, bytesOf } from "../batch/row-states.js";
import type { RowStatements } from "./row-statements.js";
import { stagedRows } from "./staged-rows.js";
import type { StagedRow, Staging } from "./staging.js";
import * as statements from "./apply-statements.js";

/** A statement that applies changes. */
export interface TableStatement {
  readonly statement: Statement;
  /** The table that it changes, or whose changes it stages. */
  readonly binding?: TableMapping;
  /** How many rows it must affect. */
  readonly rows?: number;
  /** The one change that it applies, when it is one. */
  readonly change?: OrderedChange;
  /** It writes to the binding's staging table. */
  readonly stages?: boolean;
}

/** Two ways to the target: by a staging table, for many rows at a time, and by parameters, for one. */
export interface ApplyPaths {
  readonly staging: Staging;
  readonly single: RowStatements;
}

/** So many rows take no longer one by one than by way of a staging table. */
const fewRows = 16;
/** A row that is longer would be compressed into the staging table, and out of it again. */
const longRowBytes = 2000;
/** The target holds a parameter's value several times; COPY takes a row field by field. */
const longestSingleBytes = 32 << 20;

/**
 * What applies the changes of one table, part after part; in a net part deletes, updates and inserts, each kind in one go.
 *
 * @param replaces rows that are known whole are deleted and inserted rather than updated
 */
export function actionsOn(ways: ApplyPaths, { binding, parts }: TableChanges, replaces = false): TableStatement[] {
  const stage = new Stage(ways, binding);
  for (const part of parts) {
    if ("ordered" in part) for (const change of part.ordered) stage.ordered(change);
    else stage.net(replaces ? replacing(binding, part) : part);
  }
  return stage.end();
}

function replacing(binding: TableMapping, { deletes, updates, inserts }: NetChanges): NetChanges {
  const isWhole = ({ fields }: UpdateGroup): boolean =>
    binding.unmatched.length === 0 && fields.length === binding.stored.length;
  const replaced = updates.filter(isWhole).flatMap(({ rows }) => rows);
  return {
    deletes: [...deletes, ...replaced],
    updates: updates.filter((group) => !isWhole(group)),
    inserts: [...replaced, ...inserts],
  };
}

/** Collects rows to stage and the statements behind them, so that many small parts cost one COPY. */
class Stage {
  readonly #ways: ApplyPaths;
  readonly #binding: TableMapping;
  readonly #actions: TableStatement[] = [];
  #rows: StagedRow[] = [];
  #behind: TableStatement[] = [];

  constructor(ways: ApplyPaths, binding: TableMapping) {
    this.#ways = ways;
    this.#binding = binding;
  }

  net({ deletes, updates, inserts }: NetChanges): void {
    const binding = this.#binding;
    if (binding.keyed) this.#apply(statements.deletion(binding), deletes.map(gone));
    else this.#deleteEqual(deletes.map(gone));
    for (const { fields, rows } of updates) {
      const set = fields.filter((field) => !binding.key.includes(field));
      this.#apply(
        statements.update(binding, set),
        rows.map((row) => ({ row, old: row })),
      );
    }
    this.#insert(inserts);
  }

  ordered(change: OrderedChange): void {
    const states = { row: newRowOf(change), old: foundBy(change) };
    this.#one(operationFor(change), states, change);
  }

  end(): TableStatement[] {
    this.#flush();
    return this.#actions;
  }

  #apply(operation: statements.Operation, rows: readonly RowStates[]): void {
    const least = rows.length > fewRows ? longRowBytes : -1;
    const isSingle = (row: RowStates): boolean => {
      const bytes = bytesOf(this.#binding, row);
      return bytes > least && bytes <= longestSingleBytes;
    };
    const staged: RowStates[] = [];
    for (const row of rows)
      if (isSingle(row)) this.#single(operation, row);
      else staged.push(row);
    if (staged.length > 0) this.#stage(operation, staged);
  }

  /** Straight into the table: no statement between could do more for a new row. */
  #insert(rows: readonly Tuple[]): void {
    if (rows.length === 0) return;
    const binding = this.#binding;
    this.#flush();
    this.#actions.push({ statement: this.#ways.staging.insert(binding, rows), binding, rows: rows.length });
  }

  #deleteEqual(rows: readonly RowStates[]): void {
    const binding = this.#binding;
    const isLooked = ({ old }: RowStates): boolean => isLookedUp(binding, old!, rows.length);
    const looked = rows.filter(isLooked);
    if (looked.length > fewRows) this.#stage(statements.deletionOfEqual(binding, true), looked);
    else for (const row of looked) this.#one(statements.deletionOfOne(binding, true), row);
    const others = looked.length === 0 ? rows : rows.filter((row) => !isLooked(row));
    if (others.length > 1) this.#scanFor(others);
    else for (const row of others) this.#one(statements.deletionOfOne(binding, false), row);
  }

  /**
   * The staged rows meet the whole table here. A nested loop, to which the planner's guess of a few staged rows leads,
   * would print every row of the table once for each of them.
   */
  #scanFor(rows: readonly RowStates[]): void {
    for (const setting of ["enable_hashjoin = on", "enable_nestloop = off"]) this.#set(setting);
    this.#stage(statements.deletionOfEqual(this.#binding, false), rows);
    for (const setting of ["enable_nestloop = on", "enable_hashjoin = off"]) this.#set(setting);
  }

  #set(setting: string): void {
    this.#behind.push({ statement: { text: `SET LOCAL ${setting}` } });
  }

  #one(operation: statements.Operation, states: RowStates, change?: OrderedChange): void {
    if (bytesOf(this.#binding, states) <= longestSingleBytes) this.#single(operation, states, change);
    else this.#stage(operation, [states], change);
  }

  #single(operation: statements.Operation, states: RowStates, change?: OrderedChange): void {
    const statement = this.#ways.single.statement(this.#binding, operation, states);
    this.#then(statement, 1, change);
  }

  #stage(operation: statements.Operation, rows: readonly RowStates[], change?: OrderedChange): void {
    const group = this.#ways.staging.nextGroup();
    const text = operation.statement(stagedRows(this.#binding));
    this.#then({ text, values: [String(group)], prepared: true }, rows.length, change);
    for (const { row, old } of rows) this.#rows.push({ group, row, old });
  }

  #then(statement: Statement, rows: number, change?: OrderedChange): void {
    this.#behind.push({ statement, binding: this.#binding, rows, ...(change ? { change } : {}) });
  }

  #flush(): void {
    if (this.#rows.length > 0)
      for (const statement of this.#ways.staging.fill(this.#binding, this.#rows))
        this.#actions.push({ statement, binding: this.#binding, stages: true });
    // A loop: these may be more than a call takes arguments.
    for (const action of this.#behind) this.#actions.push(action);
    this.#rows = [];
    this.#behind = [];
  }
}

const gone = (old: Tuple): RowStates => ({ row: undefined, old });

function newRowOf({ change }: OrderedChange): Tuple | undefined {
  if (change.kind === "delete") return undefined;
  return change.kind === "update" ? mergeUpdate(change.row, change.old) : change.row;
}

const isLookedUp = ({ lookup }: TableMapping, row: Tuple, rows: number): boolean =>
  lookup !== undefined && isIndexLookupCheaper(lookup, rows) && mayLookUp(lookup, row);

function operationFor(ordered: OrderedChange): statements.Operation {
  const { change, binding } = ordered;
  if (change.kind === "insert") return statements.insertion(binding);
  const looked = isLookedUp(binding, foundBy(ordered)!, 1);
  if (change.kind === "delete")
    return binding.keyed ? statements.deletion(binding) : statements.deletionOfOne(binding, looked);
  const row = mergeUpdate(change.row, change.old);
  const known = knownFields(binding, row);
  if (!binding.keyed) return statements.updateOfOne(binding, known, looked);
  const keyStays = !change.old || sameKey(binding, change.old, row);
  return statements.update(binding, keyStays ? known.filter((field) => !binding.key.includes(field)) : known);
}
