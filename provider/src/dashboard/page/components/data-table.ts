import { button, element } from "./element.js";

type Cell = Node | string;

export interface Column<Row> {
  readonly name: string;
  readonly cell: (row: Row) => Cell;
  /** What the column sorts by. */
  readonly value: (row: Row) => string | number;
  /** Classes of its cells: `number` aligns right, `wrap` breaks lines, `minor` is hidden on a phone. */
  readonly className?: string;
}

export interface DataTableOptions<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly key: (row: Row) => string;
  /** Shown below the row, across all columns. */
  readonly detail?: (row: Row) => Node | undefined;
}

/**
 * A table that sorts by its columns and keeps what the user has focused or selected: an update replaces only the cells that
 * changed.
 */
export class DataTable<Row> {
  readonly root: HTMLElement;
  readonly #body = element("tbody");
  readonly #heads: readonly HTMLElement[];
  #rows: readonly Row[] = [];
  #sort: { readonly column: Column<Row>; readonly direction: 1 | -1 } | undefined;

  constructor(readonly options: DataTableOptions<Row>) {
    const { label, columns } = options;
    this.#heads = columns.map((column) =>
      element(
        "th",
        { scope: "col", class: column.className ?? "" },
        button(column.name, () => this.#sortBy(column), "sort"),
      ),
    );
    this.root = element(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      element(
        "table",
        { "aria-label": label, class: "cards" },
        element("thead", {}, element("tr", {}, ...this.#heads)),
        this.#body,
      ),
    );
  }

  show(rows: readonly Row[]): void {
    this.#rows = rows;
    const old = new Map([...this.#body.rows].map((row) => [row.dataset.key, row]));
    const wanted = this.#sorted()
      .flatMap((row) => this.#rowsOf(row))
      .map((row) => {
        const existing = old.get(row.dataset.key);
        return existing ? updated(existing, row) : row;
      });
    const isSame = wanted.length === this.#body.rows.length && wanted.every((row, i) => this.#body.rows[i] === row);
    if (!isSame) this.#body.replaceChildren(...wanted);
  }

  /** Ascending first, then descending, then the original order. */
  #sortBy(column: Column<Row>): void {
    const direction = this.#sort?.column === column ? this.#sort.direction : undefined;
    this.#sort = direction === -1 ? undefined : { column, direction: direction === 1 ? -1 : 1 };
    for (const [i, head] of this.#heads.entries()) {
      const isSorted = this.options.columns[i] === this.#sort?.column;
      if (isSorted) head.setAttribute("aria-sort", this.#sort!.direction === 1 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    this.show(this.#rows);
  }

  #sorted(): readonly Row[] {
    const sort = this.#sort;
    if (!sort) return this.#rows;
    return [...this.#rows].sort((a, b) => sort.direction * compare(sort.column.value(a), sort.column.value(b)));
  }

  #rowsOf(row: Row): HTMLTableRowElement[] {
    const { columns, key, detail } = this.options;
    const cells = columns.map(({ name, cell, className = "" }) =>
      element("td", { "data-label": name, class: className }, cell(row)),
    );
    const main = element("tr", { "data-key": key(row) }, ...cells);
    const more = detail?.(row);
    if (!more) return [main];
    const below = element("td", { colspan: String(columns.length), class: "wrap" }, more);
    return [main, element("tr", { "data-key": `${key(row)} detail`, class: "detail" }, below)];
  }
}

export function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

function updated(row: HTMLTableRowElement, next: HTMLTableRowElement): HTMLTableRowElement {
  for (const [i, cell] of [...next.cells].entries()) {
    const existing = row.cells[i];
    if (existing && !existing.isEqualNode(cell)) existing.replaceWith(cell);
  }
  return row;
}
