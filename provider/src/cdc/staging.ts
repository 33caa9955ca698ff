import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import type { Binding } from "./binding.js";
import { type Tuple, holderOf } from "./change.js";
import { copyIn } from "./copy-in.js";
import { CopyText } from "./copy-text.js";

/** Rows of earlier groups are scanned by every statement, and a TRUNCATE costs a file. */
const tolerableRows = 1000;
const tolerableTables = 200;

/** One line for a staging table. */
export interface StagedRow {
  /** Says which statement takes the row. */
  readonly group: number;
  /** The new row, or undefined for a delete. */
  readonly row: Tuple | undefined;
  /** What the old row is found by. */
  readonly old: Tuple | undefined;
}

/**
 * Temporary tables of one target session, one for each binding: column `g` for the group, `c<field>` for the new values
 * and `o<field>` for those that find the old row, each of the type below the target column's domains and without its
 * modifier. So values are parsed by their own type, once, and no cast from text is ever made.
 */
export class Staging {
  readonly #target: Client;
  readonly #made = new Set<string>();
  /** Rows put in by the current transaction; a commit removes them all. */
  readonly #held = new Map<string, number>();
  readonly #statementNames = new Map<string, string>();
  #groups = 0;

  constructor(target: Client) {
    this.#target = target;
  }

  has(binding: Binding): boolean {
    return this.#made.has(binding.staging);
  }

  /** Between transactions: drops the tables when there are so many that emptying them all at each commit would be felt. */
  async limit(): Promise<void> {
    if (this.#made.size > tolerableTables) await this.drop();
  }

  /** Between transactions. Tables that were made in one that was rolled back are gone already. */
  async drop(): Promise<void> {
    if (this.#made.size > 0) await this.#target.query(`DROP TABLE IF EXISTS ${[...this.#made].join(", ")}`);
    this.#made.clear();
    this.#held.clear();
  }

  /** Outside of any savepoint that may be rolled back while the session lives on. */
  async make(binding: Binding): Promise<void> {
    const columns = binding.columns.flatMap((column, field) => {
      const type = qualify(column.baseTypeSchema, column.baseType);
      return [`c${field} ${type}`, `o${field} ${type}`];
    });
    await this.#target.query(
      `CREATE TEMPORARY TABLE ${binding.staging.slice("pg_temp.".length)} (${["g int4", ...columns].join(", ")}) ON COMMIT DELETE ROWS`,
    );
    this.#made.add(binding.staging);
  }

  /** A number that no group of this session has had, so that rows of earlier groups may stay where they are. */
  nextGroup(): number {
    this.#groups = (this.#groups + 1) % 0x7fffffff;
    return this.#groups;
  }

  /** Under which the session prepares a statement once. */
  statementName(text: string): string {
    const name = this.#statementNames.get(text) ?? `pg_migration_${this.#statementNames.size + 1}`;
    this.#statementNames.set(text, name);
    return name;
  }

  async fill(binding: Binding, rows: readonly StagedRow[]): Promise<void> {
    const held = this.#held.get(binding.staging) ?? 0;
    const crowded = held > tolerableRows;
    if (crowded) await this.#target.query(`TRUNCATE ${binding.staging}`);
    this.#held.set(binding.staging, (crowded ? 0 : held) + rows.length);
    const oldFields = binding.keyed ? binding.key : binding.stored;
    const text = new CopyText();
    for (const { group, row, old } of rows) {
      text.integer(group);
      for (const field of binding.stored) fieldOrNull(text, row, field);
      for (const field of oldFields) fieldOrNull(text, old, field);
      text.endLine();
    }
    const columns = ["g", ...binding.stored.map((field) => `c${field}`), ...oldFields.map((field) => `o${field}`)];
    await copyIn(this.#target, `COPY ${binding.staging} (${columns.join(", ")}) FROM STDIN`, text);
  }

  /** After COMMIT. */
  emptied(): void {
    this.#held.clear();
  }
}

/** Straight into the table: no statement between could do more for a new row. */
export async function copyRows(target: Client, binding: Binding, rows: readonly Tuple[]): Promise<number> {
  const text = new CopyText();
  for (const row of rows) {
    for (const field of binding.stored) text.field(row, field);
    text.endLine();
  }
  const columns = binding.stored.map((field) => quoteIdentifier(binding.columns[field]!.name));
  const list = columns.length === 0 ? "" : ` (${columns.join(", ")})`;
  return copyIn(target, `COPY ${binding.name}${list} FROM STDIN`, text);
}

/** A field that the statement which takes the row does not use may be unknown. */
function fieldOrNull(text: CopyText, row: Tuple | undefined, field: number): void {
  if (row && holderOf(row, field)) text.field(row, field);
  else text.null();
}
