import type { Client } from "pg";
import type { Binding } from "./binding.js";
import { onTopOf } from "./change.js";
import { type NetChanges, type OrderedChange, type TableChanges, knownFields, sameKey } from "./fold.js";
import { RowMissing } from "./row-missing.js";
import { type StagedRow, type Staging, copyRows } from "./staging.js";
import * as statements from "./statements.js";
import { foundBy } from "./describe-row.js";

/** One statement over the staged rows of a group. */
interface Action {
  readonly group: number;
  /** One after the other is tried until it affects as many rows as it must. */
  readonly attempts: readonly string[];
  readonly rows: number;
  /** The one change that it applies, when it is one. */
  readonly change?: OrderedChange;
}

/** Makes the error for a single change that the target refuses or has no row for. */
export type ChangeFailed = (change: OrderedChange, cause: unknown) => Error;

/** Every statement scans the staged rows, so that single changes are staged with no more than this many others. */
const singleChangesAtATime = 500;

/**
 * Applies the changes of one table, part after part; in a net part deletes, updates and inserts, each kind in one go.
 *
 * @throws RowMissing when rows of a net part are not there
 */
export async function applyTable(
  target: Client,
  staging: Staging,
  { binding, parts }: TableChanges,
  failed: ChangeFailed,
): Promise<void> {
  const stage = new Stage(target, staging, binding, failed);
  for (const part of parts) {
    if ("ordered" in part) {
      for (const change of part.ordered) await stage.single(change);
      continue;
    }
    stage.net(part);
    if (part.inserts.length === 0) continue;
    await stage.flush();
    await copyRows(target, binding, part.inserts);
  }
  await stage.flush();
}

/** Collects rows to stage and the statements for them, so that many small parts cost one COPY. */
class Stage {
  readonly #target: Client;
  readonly #staging: Staging;
  readonly #binding: Binding;
  readonly #failed: ChangeFailed;
  #rows: StagedRow[] = [];
  #actions: Action[] = [];

  constructor(target: Client, staging: Staging, binding: Binding, failed: ChangeFailed) {
    this.#target = target;
    this.#staging = staging;
    this.#binding = binding;
    this.#failed = failed;
  }

  net({ deletes, updates }: NetChanges): void {
    if (deletes.length > 0) {
      const group = this.#add(deletes.length, [statements.deleteStatement(this.#binding)]);
      for (const old of deletes) this.#rows.push({ group, row: undefined, old });
    }
    for (const { fields, rows } of updates) {
      const set = fields.filter((field) => !this.#binding.key.includes(field));
      const group = this.#add(rows.length, [statements.updateStatement(this.#binding, set)]);
      for (const row of rows) this.#rows.push({ group, row, old: row });
    }
  }

  async single(ordered: OrderedChange): Promise<void> {
    const group = this.#add(1, attemptsFor(ordered), ordered);
    this.#rows.push({ group, row: newRowOf(ordered), old: foundBy(ordered) });
    if (this.#actions.length >= singleChangesAtATime) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#rows.length === 0) return;
    await this.#staging.fill(this.#binding, this.#rows);
    for (const action of this.#actions) await this.#run(action);
    this.#rows = [];
    this.#actions = [];
  }

  #add(rows: number, attempts: readonly string[], change?: OrderedChange): number {
    const group = this.#staging.nextGroup();
    this.#actions.push({ group, attempts, rows, ...(change ? { change } : {}) });
    return group;
  }

  async #run(action: Action): Promise<void> {
    try {
      await this.#attempt(action);
    } catch (cause) {
      throw action.change ? this.#failed(action.change, cause) : cause;
    }
  }

  async #attempt({ attempts, group, rows }: Action): Promise<void> {
    let found = 0;
    for (const text of attempts) {
      const { rowCount } = await this.#target.query({ name: this.#staging.statementName(text), text, values: [group] });
      found = rowCount ?? 0;
      if (found === rows) return;
      if (found !== 0) break;
    }
    throw new RowMissing(`${found} of ${rows} rows of ${this.#binding.name} were there`);
  }
}

function newRowOf({ change }: OrderedChange): StagedRow["row"] {
  if (change.kind === "delete") return undefined;
  return change.kind === "update" ? onTopOf(change.row, change.old) : change.row;
}

function attemptsFor({ change, binding }: OrderedChange): readonly string[] {
  if (change.kind === "insert") return [statements.insertStatement(binding)];
  if (change.kind === "delete")
    return binding.keyed
      ? [statements.deleteStatement(binding)]
      : statements.likenesses.map((likeness) => statements.deleteOneStatement(binding, likeness));
  const row = onTopOf(change.row, change.old);
  const known = knownFields(binding, row);
  if (!binding.keyed)
    return statements.likenesses.map((likeness) => statements.updateOneStatement(binding, known, likeness));
  const keyStays = !change.old || sameKey(binding, change.old, row);
  return [
    statements.updateStatement(binding, keyStays ? known.filter((field) => !binding.key.includes(field)) : known),
  ];
}
