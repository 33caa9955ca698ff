import type { Client } from "pg";
import { quoteIdentifier } from "../../postgres/identifiers.js";
import type { TableMapping } from "../binding/table-mapping.js";
import { carriedType } from "../binding/carried-type.js";
import type { Tuple } from "../model/change.js";
import { CopyBinary } from "../wire/copy-binary.js";
import type { CopyRows } from "../wire/copy-rows.js";
import { CopyText } from "../wire/copy-text.js";
import type { Statement } from "../wire/pipelined-queries.js";
import type { RowStates } from "../batch/row-states.js";
import type { ValueForm } from "../model/value-form.js";

/** Rows of earlier groups are scanned by every statement, and a TRUNCATE costs a file. */
const tolerableRows = 1000;
/** Of column `g`. */
const highestGroup = 0x7fffffff;
const tolerableTables = 200;

/** One line for a staging table. */
export interface StagedRow extends RowStates {
  /** Says which statement takes the row. */
  readonly group: number;
}

/**
 * Temporary tables of one target session, one for each shape of table: column `g` for the group, `c<field>` for the new
 * values and `o<field>` for those that find the old row, each of the type below the target column's domains and without
 * its modifier; of the widest tables the fields of records `c` and `o`. So values are parsed by their own type, once,
 * and no cast from text is ever made.
 */
export class Staging {
  readonly #target: Client;
  readonly #form: ValueForm;
  readonly #made = new Set<string>();
  /** Rows that are in a table, about. */
  readonly #held = new Map<string, number>();
  readonly #lastGroup: number;
  #groups = 0;

  /** @param form in which the rows' values come */
  constructor(target: Client, form: ValueForm, lastGroup = highestGroup) {
    this.#target = target;
    this.#form = form;
    this.#lastGroup = lastGroup;
  }

  /** There are so many tables that their files, and their rows in the catalogue, are felt. */
  get isCrowded(): boolean {
    return this.#made.size > tolerableTables;
  }

  /** Whether {@link make} has nothing to do. */
  hasMade(bindings: Iterable<TableMapping>): boolean {
    return [...bindings].every(({ staging }) => this.#made.has(staging));
  }

  /** Between transactions. Tables that were made in one that was rolled back are gone already. */
  async drop(): Promise<void> {
    if (this.#made.size > 0) await this.#target.query(`DROP TABLE IF EXISTS ${[...this.#made].join(", ")}`);
    this.#made.clear();
    this.#held.clear();
  }

  /**
   * Makes the tables that are not there yet. Belongs before any savepoint that may be rolled back while the session lives
   * on.
   */
  make(bindings: Iterable<TableMapping>): Statement[] {
    const statements: Statement[] = [];
    for (const binding of bindings) {
      if (this.#made.has(binding.staging)) continue;
      for (const { name, columns } of tablesOf(binding)) {
        this.#made.add(`pg_temp.${name}`);
        // Not ON COMMIT DELETE ROWS: each commit would empty every one of them, used or not, file by file.
        statements.push({ text: `CREATE TEMPORARY TABLE ${name} (${columns.join(", ")})` });
      }
    }
    return statements;
  }

  /** A number that no group has whose rows are still there. */
  nextGroup(): number {
    if (this.#groups === this.#lastGroup) {
      this.#groups = 0;
      this.emptyFirst();
    }
    return ++this.#groups;
  }

  /** Every table before it is filled again: it may hold more than is known. */
  emptyFirst(): void {
    for (const table of this.#made) this.#held.set(table, Infinity);
  }

  fill(binding: TableMapping, rows: readonly StagedRow[]): Statement[] {
    const held = this.#held.get(binding.staging) ?? 0;
    const crowded = held > tolerableRows;
    this.#held.set(binding.staging, (crowded ? 0 : held) + rows.length);
    const asRecords = binding.staged === "asRecords";
    const columns = asRecords ? ["g", "c", "o"] : ["g", ...newColumns(binding), ...oldColumns(binding)];
    const copied = this.#rowsOf(columns.length);
    for (const { group, row, old } of rows) {
      copied.integer(group);
      if (asRecords) copied.beginRecord();
      for (const field of binding.stored) copied.fieldOrNull(row, field);
      if (asRecords) copied.endRecord();
      if (asRecords) copied.beginRecord();
      for (const field of binding.old) copied.fieldOrNull(old, field);
      if (asRecords) copied.endRecord();
      copied.endLine();
    }
    const copy = this.#copy(binding.staging, columns, copied);
    return crowded ? [{ text: `TRUNCATE ${binding.staging}` }, copy] : [copy];
  }

  /** Straight into the table: no statement between could do more for a new row. */
  insert(binding: TableMapping, rows: readonly Tuple[]): Statement {
    const columns = binding.stored.map((field) => quoteIdentifier(binding.columns[field]!.name));
    const copied = this.#rowsOf(columns.length);
    for (const row of rows) {
      for (const field of binding.stored) copied.field(row, field);
      copied.endLine();
    }
    return this.#copy(binding.name, columns, copied);
  }

  /** Leaves so few rows for the transactions to come as are scanned at no cost; belongs behind all that takes rows. */
  thinOut(): Statement[] {
    const full = [...this.#held].flatMap(([table, rows]) => (rows > tolerableRows && rows < Infinity ? table : []));
    for (const table of full) this.#held.delete(table);
    return full.length > 0 ? [{ text: `TRUNCATE ${full.join(", ")}` }] : [];
  }

  #rowsOf(columns: number): CopyRows {
    return this.#form === "binary" ? new CopyBinary(columns) : new CopyText();
  }

  #copy(table: string, columns: readonly string[], rows: CopyRows): Statement {
    const list = columns.length === 0 ? "" : ` (${columns.join(", ")})`;
    const format = this.#form === "binary" ? " (FORMAT binary)" : "";
    return { text: `COPY ${table}${list} FROM STDIN${format}`, copyData: rows.messages() };
  }
}

const newColumns = ({ stored }: TableMapping): string[] => stored.map((field) => `c${field}`);

const oldColumns = ({ old }: TableMapping): string[] => old.map((field) => `o${field}`);

/** The staging table; before it, where it holds records, tables that stay empty and whose rows' types these are. */
function tablesOf(binding: TableMapping): { readonly name: string; readonly columns: readonly string[] }[] {
  const name = binding.staging.slice("pg_temp.".length);
  const typed = (columns: readonly string[], fields: readonly number[]): string[] =>
    columns.map((column, index) => `${column} ${carriedType(binding.columns[fields[index]!]!)}`);
  const columns = typed(newColumns(binding), binding.stored);
  const old = typed(oldColumns(binding), binding.old);
  if (binding.staged === "inColumns") return [{ name, columns: ["g int4", ...columns, ...old] }];
  const [row, key] = ["new", "old"].map((which) => `${name.slice(0, -1)}_${which}"`) as [string, string];
  return [
    { name: row, columns },
    { name: key, columns: old },
    { name, columns: ["g int4", `c pg_temp.${row}`, `o pg_temp.${key}`] },
  ];
}
