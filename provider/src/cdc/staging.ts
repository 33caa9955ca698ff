import type { Client } from "pg";
import { qualify, quoteIdentifier } from "../postgres/identifiers.js";
import type { Binding } from "./binding.js";
import type { Tuple } from "./change.js";
import { CopyText } from "./copy-text.js";
import type { Statement } from "./round-trip.js";

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
 * Temporary tables of one target session, one for each shape of table: column `g` for the group, `c<field>` for the new
 * values and `o<field>` for those that find the old row, each of the type below the target column's domains and without its
 * modifier. So values are parsed by their own type, once, and no cast from text is ever made.
 */
export class Staging {
  readonly #target: Client;
  readonly #made = new Set<string>();
  /** Rows put in since the last commit, which removes them all. */
  readonly #held = new Map<string, number>();
  #groups = 0;

  constructor(target: Client) {
    this.#target = target;
  }

  /** There are so many tables that emptying them all at each commit is felt. */
  get isCrowded(): boolean {
    return this.#made.size > tolerableTables;
  }

  /** Between transactions. Tables that were made in one that was rolled back are gone already. */
  async drop(): Promise<void> {
    if (this.#made.size > 0) await this.#target.query(`DROP TABLE IF EXISTS ${[...this.#made].join(", ")}`);
    this.#made.clear();
    this.#held.clear();
  }

  /**
   * Makes the tables that are not there yet. Belongs before any savepoint that may be rolled back while the session lives on.
   */
  make(bindings: Iterable<Binding>): Statement[] {
    const statements: Statement[] = [];
    for (const binding of bindings) {
      if (this.#made.has(binding.staging)) continue;
      this.#made.add(binding.staging);
      statements.push({ text: createStatement(binding) });
    }
    return statements;
  }

  /** A number that no group of this session has had, so that rows of earlier groups may stay where they are. */
  nextGroup(): number {
    this.#groups = (this.#groups + 1) % 0x7fffffff;
    return this.#groups;
  }

  fill(binding: Binding, rows: readonly StagedRow[]): Statement[] {
    const held = this.#held.get(binding.staging) ?? 0;
    const crowded = held > tolerableRows;
    this.#held.set(binding.staging, (crowded ? 0 : held) + rows.length);
    const text = new CopyText();
    for (const { group, row, old } of rows) {
      text.integer(group);
      for (const field of binding.stored) text.fieldOrNull(row, field);
      for (const field of binding.old) text.fieldOrNull(old, field);
      text.endLine();
    }
    const columns = ["g", ...binding.stored.map((field) => `c${field}`), ...binding.old.map((field) => `o${field}`)];
    const copy = copyStatement(binding.staging, columns, text);
    return crowded ? [{ text: `TRUNCATE ${binding.staging}` }, copy] : [copy];
  }

  /** What is built from here on is for after a commit. */
  emptied(): void {
    this.#held.clear();
  }
}

/** Straight into the table: no statement between could do more for a new row. */
export function insertByCopy(binding: Binding, rows: readonly Tuple[]): Statement {
  const text = new CopyText();
  for (const row of rows) {
    for (const field of binding.stored) text.field(row, field);
    text.endLine();
  }
  const columns = binding.stored.map((field) => quoteIdentifier(binding.columns[field]!.name));
  return copyStatement(binding.name, columns, text);
}

const copyStatement = (table: string, columns: readonly string[], text: CopyText): Statement => ({
  text: `COPY ${table}${columns.length === 0 ? "" : ` (${columns.join(", ")})`} FROM STDIN`,
  copyData: text.messages(),
});

function createStatement(binding: Binding): string {
  const typed = (prefix: string) => (field: number) => {
    const { baseTypeSchema, baseType } = binding.columns[field]!;
    return `${prefix}${field} ${qualify(baseTypeSchema, baseType)}`;
  };
  const columns = [...binding.stored.map(typed("c")), ...binding.old.map(typed("o"))];
  return `CREATE TEMPORARY TABLE ${binding.staging.slice("pg_temp.".length)} (${["g int4", ...columns].join(", ")}) ON COMMIT DELETE ROWS`;
}
