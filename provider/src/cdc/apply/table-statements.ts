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
  /** The change that it applies; undefined if it applies several. */
  readonly change?: OrderedChange;
  /** Whether it writes to the binding's staging table. */
  readonly stages?: boolean;
  /** Whether it selects the columns that the target's table got since it was read. */
  readonly findsAddedColumns?: boolean;
}

/** Two paths to the target: a staging table for many rows at a time, and parameters for a single row. */
export interface ApplyPaths {
  readonly staging: Staging;
  readonly single: RowStatements;
}

/** Up to this number, single statements are not slower than a staging table. */
const fewRows = 16;
/** A longer row would be compressed in the staging table, and decompressed again. */
const longRowBytes = 2000;
/** The target keeps several copies of a parameter's value. COPY processes a row field by field. */
const maxSingleBytes = 32 << 20;

/**
 * The statements that apply the changes of one table, part after part. A net part has deletes, then updates, then inserts.
 *
 * @param replaces deletes and inserts completely known rows instead of updating them
 */
export function statementsFor(paths: ApplyPaths, { binding, parts }: TableChanges, replaces = false): TableStatement[] {
  const stage = new Stage(paths, binding);
  for (const part of parts) {
    if ("sequential" in part) for (const change of part.sequential) stage.sequential(change);
    else stage.net(replaces ? replacing(binding, part) : part);
  }
  return stage.end();
}

function replacing(binding: TableMapping, { deletes, updates, inserts, replacesRows }: NetChanges): NetChanges {
  const isWhole = ({ fields }: UpdateGroup): boolean =>
    binding.unmatched.length === 0 && fields.length === binding.stored.length;
  const replaced = updates.filter(isWhole).flatMap(({ rows }) => rows);
  return {
    deletes: [...deletes, ...replaced],
    updates: updates.filter((group) => !isWhole(group)),
    inserts: [...replaced, ...inserts],
    replacesRows: replacesRows || replaced.length > 0,
  };
}

/** Collects rows to stage, and the statements that use them, so that many small parts need one COPY. */
class Stage {
  readonly #paths: ApplyPaths;
  readonly #binding: TableMapping;
  readonly #statements: TableStatement[] = [];
  #rows: StagedRow[] = [];
  /** The statements to send after the COPY of `#rows`. */
  #pending: TableStatement[] = [];
  #replacesRows = false;

  constructor(paths: ApplyPaths, binding: TableMapping) {
    this.#paths = paths;
    this.#binding = binding;
  }

  net({ deletes, updates, inserts, replacesRows }: NetChanges): void {
    const binding = this.#binding;
    this.#replacesRows ||= replacesRows;
    if (binding.keyed) this.#apply(statements.deletion(binding), deletes.map(deleted));
    else this.#deleteEqual(deletes.map(deleted));
    for (const { fields, rows } of updates) {
      const set = fields.filter((field) => !binding.key.includes(field));
      this.#apply(
        statements.update(binding, set),
        rows.map((row) => ({ row, old: row })),
      );
    }
    this.#insert(inserts);
  }

  sequential(change: OrderedChange): void {
    const states = { row: newRowOf(change), old: foundBy(change) };
    this.#one(operationFor(change), states, change);
  }

  /** The check comes last: from the first change on, the transaction prevents further ALTER TABLE. */
  end(): TableStatement[] {
    this.#flush();
    const binding = this.#binding;
    if (this.#replacesRows)
      this.#statements.push({
        statement: statements.addedColumns(binding),
        ...{ binding, rows: 0, findsAddedColumns: true },
      });
    return this.#statements;
  }

  #apply(operation: statements.Operation, rows: readonly RowStates[]): void {
    const minBytes = rows.length > fewRows ? longRowBytes : -1;
    const isSingle = (row: RowStates): boolean => {
      const bytes = bytesOf(this.#binding, row);
      return bytes > minBytes && bytes <= maxSingleBytes;
    };
    const staged: RowStates[] = [];
    for (const row of rows)
      if (isSingle(row)) this.#single(operation, row);
      else staged.push(row);
    if (staged.length > 0) this.#stage(operation, staged);
  }

  /** Copies new rows directly into the target's table. Staging them would gain nothing. */
  #insert(rows: readonly Tuple[]): void {
    if (rows.length === 0) return;
    const binding = this.#binding;
    this.#flush();
    this.#statements.push({ statement: this.#paths.staging.insert(binding, rows), binding, rows: rows.length });
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
   * Joins the staged rows with the whole table. The planner expects few staged rows and would choose a nested loop, which
   * prints every row of the table once for each staged row.
   */
  #scanFor(rows: readonly RowStates[]): void {
    for (const setting of ["enable_hashjoin = on", "enable_nestloop = off"]) this.#set(setting);
    this.#stage(statements.deletionOfEqual(this.#binding, false), rows);
    for (const setting of ["enable_nestloop = on", "enable_hashjoin = off"]) this.#set(setting);
  }

  #set(setting: string): void {
    this.#pending.push({ statement: { text: `SET LOCAL ${setting}` } });
  }

  #one(operation: statements.Operation, states: RowStates, change?: OrderedChange): void {
    if (bytesOf(this.#binding, states) <= maxSingleBytes) this.#single(operation, states, change);
    else this.#stage(operation, [states], change);
  }

  #single(operation: statements.Operation, states: RowStates, change?: OrderedChange): void {
    this.#replacesRows ||= operation.replacesRows === true;
    const statement = this.#paths.single.statement(this.#binding, operation, states);
    this.#add(statement, 1, change);
  }

  #stage(operation: statements.Operation, rows: readonly RowStates[], change?: OrderedChange): void {
    this.#replacesRows ||= operation.replacesRows === true;
    const group = this.#paths.staging.nextGroup();
    const text = operation.statement(stagedRows(this.#binding));
    this.#add({ text, values: [String(group)], prepared: true }, rows.length, change);
    for (const { row, old } of rows) this.#rows.push({ group, row, old });
  }

  #add(statement: Statement, rows: number, change?: OrderedChange): void {
    this.#pending.push({ statement, binding: this.#binding, rows, ...(change ? { change } : {}) });
  }

  #flush(): void {
    if (this.#rows.length > 0)
      for (const statement of this.#paths.staging.fill(this.#binding, this.#rows))
        this.#statements.push({ statement, binding: this.#binding, stages: true });
    // Not push(...pending): the number of arguments of a call is limited.
    for (const statement of this.#pending) this.#statements.push(statement);
    this.#rows = [];
    this.#pending = [];
  }
}

const deleted = (old: Tuple): RowStates => ({ row: undefined, old });

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
