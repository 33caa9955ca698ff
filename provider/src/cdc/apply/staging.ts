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

/** Every statement scans the rows of earlier groups. A TRUNCATE removes them, but creates a new file each time. */
const maxLeftoverRows = 1000;
/** The largest value of column `g`. */
const maxGroup = 0x7fffffff;
const maxTables = 200;

/** One line for a staging table. */
export interface StagedRow extends RowStates {
  /** Identifies the statement that applies the row. */
  readonly group: number;
}

/**
 * Temporary tables of one target session, one for each shape of table. They have a column `g` for the group, `c<field>`
 * for the new values, and `o<field>` for the values that identify the old row. Each column has the base type of the
 * target's column, without domains and type modifiers. Very wide tables are staged as two records `c` and `o`.
 *
 * PostgreSQL therefore parses each value once, as its own type, without a cast from text.
 */
export class Staging {
  readonly #target: Client;
  readonly #form: ValueForm;
  readonly #made = new Set<string>();
  /** Approximate number of rows in each table. */
  readonly #held = new Map<string, number>();
  readonly #lastGroup: number;
  #groups = 0;

  /** @param form the form of the rows' values */
  constructor(target: Client, form: ValueForm, lastGroup = maxGroup) {
    this.#target = target;
    this.#form = form;
    this.#lastGroup = lastGroup;
  }

  /** Whether so many staging tables exist that their files and catalogue rows cost time. */
  get isCrowded(): boolean {
    return this.#made.size > maxTables;
  }

  /** Whether {@link make} would create no table. */
  hasMade(bindings: Iterable<TableMapping>): boolean {
    return [...bindings].every(({ staging }) => this.#made.has(staging));
  }

  /** Call it between transactions. Tables that a rolled back transaction created no longer exist. */
  async drop(): Promise<void> {
    if (this.#made.size > 0) await this.#target.query(`DROP TABLE IF EXISTS ${[...this.#made].join(", ")}`);
    this.#made.clear();
    this.#held.clear();
  }

  /**
   * Creates the missing tables. Send these statements before any savepoint to which the session may roll back: otherwise a
   * table that counts as created would be missing.
   */
  make(bindings: Iterable<TableMapping>): Statement[] {
    const statements: Statement[] = [];
    for (const binding of bindings) {
      if (this.#made.has(binding.staging)) continue;
      for (const { name, columns } of tablesOf(binding)) {
        this.#made.add(`pg_temp.${name}`);
        // Not ON COMMIT DELETE ROWS: each commit would truncate the files of all of them, used or not.
        statements.push({ text: `CREATE TEMPORARY TABLE ${name} (${columns.join(", ")})` });
      }
    }
    return statements;
  }

  /** Returns a group number that no row of a staging table has. */
  nextGroup(): number {
    if (this.#groups === this.#lastGroup) {
      this.#groups = 0;
      this.emptyFirst();
    }
    return ++this.#groups;
  }

  /** Truncates every table before it is filled again, because it may have more rows than counted. */
  emptyFirst(): void {
    for (const table of this.#made) this.#held.set(table, Infinity);
  }

  fill(binding: TableMapping, rows: readonly StagedRow[]): Statement[] {
    const held = this.#held.get(binding.staging) ?? 0;
    const crowded = held > maxLeftoverRows;
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

  /** Copies new rows directly into the target's table. Staging them would gain nothing. */
  insert(binding: TableMapping, rows: readonly Tuple[]): Statement {
    const columns = binding.stored.map((field) => quoteIdentifier(binding.columns[field]!.name));
    const copied = this.#rowsOf(columns.length);
    for (const row of rows) {
      for (const field of binding.stored) copied.field(row, field);
      copied.endLine();
    }
    return this.#copy(binding.name, columns, copied);
  }

  /** Truncates large staging tables. Send these statements after all statements that read the staged rows. */
  truncateLarge(): Statement[] {
    const full = [...this.#held].flatMap(([table, rows]) => (rows > maxLeftoverRows && rows < Infinity ? table : []));
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

/** The staging table. If it has records, two empty tables come first: their row types are the types of the records. */
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
