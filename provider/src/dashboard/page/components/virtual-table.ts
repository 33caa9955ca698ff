import type { TableRecord } from "../../../store/read-tables.js";
import { compare } from "./data-table.js";
import { button, element, progress } from "./element.js";
import { bytes, count } from "./format.js";
import { pill } from "./pill.js";

const spareRows = 6;
const maxVisibleRows = 14;

interface Column {
  readonly name: string;
  readonly value: (one: TableRecord) => string | number;
}

const nameOf = ({ schema, table }: TableRecord): string => `${schema}.${table}`;

const columns: readonly Column[] = [
  { name: "Table", value: nameOf },
  { name: "Status", value: ({ state }) => state },
  { name: "Rows", value: ({ rowsCopied }) => rowsCopied },
  { name: "Bytes", value: ({ bytesCopied }) => bytesCopied },
  { name: "Changes", value: (one) => changesOf(one) },
  { name: "Indexes", value: ({ indexesCompleted }) => indexesCompleted },
  { name: "Compared", value: (one) => comparisonOf(one) },
];

/** Thousands of tables. The document contains only the rows in sight. */
export class VirtualTable {
  readonly root: HTMLElement;
  #tables: TableRecord[] = [];
  #shown: TableRecord[] = [];
  #sort: { readonly column: Column; readonly direction: 1 | -1 } | undefined;
  readonly #phone = matchMedia("(max-width: 40rem)");
  readonly #search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search tables" });
  readonly #only = element(
    "select",
    { "aria-label": "Which tables" },
    ...["all", "loading", "queued", "completed", "errored", "different"].map((value) =>
      element("option", { value }, value),
    ),
  );
  readonly #note = element("p", { class: "quiet", role: "status" });
  readonly #space = element("div", { role: "presentation" });
  readonly #body = element(
    "div",
    { class: "body", role: "rowgroup", tabindex: "0", "aria-label": "Tables" },
    this.#space,
  );
  readonly #heads: readonly HTMLElement[];
  readonly #table: HTMLElement;
  #frame = 0;

  constructor() {
    this.#heads = columns.map((column) =>
      element(
        "strong",
        { role: "columnheader" },
        button(column.name, () => this.#sortBy(column), "sort"),
      ),
    );
    const head = element(
      "div",
      { role: "rowgroup" },
      element("div", { class: "row head", role: "row" }, ...this.#heads),
    );
    this.#table = element("div", { class: "virtual", role: "table", "aria-label": "Tables" }, head, this.#body);
    const scroll = element("div", { class: "scroll" }, this.#table);
    this.root = element("div", {}, element("div", { class: "bar" }, this.#search, this.#only, this.#note), scroll);
    this.#body.addEventListener("scroll", () => this.#drawSoon());
    this.#search.addEventListener("input", () => this.#select());
    this.#only.addEventListener("change", () => this.#select());
    this.#phone.addEventListener("change", () => this.#select());
    this.#select();
  }

  update({ all, tables }: { readonly all: boolean; readonly tables: readonly TableRecord[] }): void {
    const byKey = new Map(all ? [] : this.#tables.map((one) => [keyOf(one), one]));
    for (const one of tables) byKey.set(keyOf(one), one);
    this.#tables = [...byKey.values()];
    this.#select();
  }

  /** Must match the height of `.virtual .body .row` in page.css. */
  get #rowHeight(): number {
    return this.#phone.matches ? 60 : 34;
  }

  #sortBy(column: Column): void {
    const direction = this.#sort?.column === column ? this.#sort.direction : undefined;
    this.#sort = direction === -1 ? undefined : { column, direction: direction === 1 ? -1 : 1 };
    for (const [i, head] of this.#heads.entries()) {
      if (columns[i] === this.#sort?.column)
        head.setAttribute("aria-sort", this.#sort!.direction === 1 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    this.#select();
  }

  #select(): void {
    const wanted = this.#search.value.trim().toLowerCase();
    const only = this.#only.value;
    this.#shown = this.#tables.filter((one) => {
      if (only === "different" ? one.equal !== false : only !== "all" && one.state !== only) return false;
      return `${one.database} ${nameOf(one)}`.toLowerCase().includes(wanted);
    });
    const sort = this.#sort;
    if (sort) this.#shown.sort((a, b) => sort.direction * compare(sort.column.value(a), sort.column.value(b)));
    const [shown, all] = [this.#shown.length, this.#tables.length];
    this.#note.textContent =
      all === 0
        ? "No tables are known yet."
        : shown === 0
          ? `None of ${count(all)} tables matches.`
          : `${count(shown)} of ${count(all)} tables`;
    this.#table.hidden = shown === 0;
    this.#space.style.height = `${shown * this.#rowHeight}px`;
    this.#body.style.height = `${Math.min(shown, maxVisibleRows) * this.#rowHeight}px`;
    this.#table.setAttribute("aria-rowcount", String(shown + 1));
    this.#drawSoon();
  }

  #drawSoon(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const height = this.#rowHeight;
    const first = Math.max(0, Math.floor(this.#body.scrollTop / height) - spareRows);
    const most = Math.ceil(this.#body.clientHeight / height) + 2 * spareRows;
    const rows = this.#shown.slice(first, first + most).map((one, i) => rowOf(one, first + i, height));
    this.#space.replaceChildren(...rows);
  }
}

const keyOf = (one: TableRecord): string => JSON.stringify([one.database, one.schema, one.table]);

const changesOf = ({ inserts, updates, deletes }: TableRecord): number => inserts + updates + deletes;

function comparisonOf({ equal, by }: TableRecord): string {
  if (equal === null) return "";
  return equal ? (by === "counts" ? "equal count" : "equal") : "different";
}

const changesTitle = ({ inserts, updates, deletes }: TableRecord): string =>
  `${count(inserts)} inserts, ${count(updates)} updates, ${count(deletes)} deletes`;

function rowOf(one: TableRecord, index: number, height: number): HTMLElement {
  const name = nameOf(one);
  const comparison = comparisonOf(one);
  const cell = (className: string, ...children: (Node | string)[]): HTMLElement =>
    element("span", { role: "cell", class: className }, ...children);
  const row = element(
    "div",
    { class: "row", role: "row", "aria-rowindex": String(index + 2), title: one.error ?? `${one.database}: ${name}` },
    cell("name", name),
    cell("status", pill(one.state)),
    cell("rows", progress(`rows of ${name}`, one.rowsCopied, one.rowsEstimated), ` ${count(one.rowsCopied)}`),
    cell(
      "bytes",
      progress(`bytes of ${name}`, one.state === "completed" ? one.bytesTotal : one.bytesCopied, one.bytesTotal),
      ` ${bytes(one.bytesCopied)}`,
    ),
    element("span", { role: "cell", class: "changes", title: changesTitle(one) }, count(changesOf(one))),
    cell("indexes", `${one.indexesCompleted} of ${one.indexesTotal}`),
    cell(`compared ${comparison === "different" ? "bad" : "good"}`, comparison),
  );
  row.style.transform = `translateY(${index * height}px)`;
  return row;
}
